from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from data_collection.trace import ClipRow, ClipState
from neuralos.data.config import LaneConfig
from neuralos.data.mixture import Mixture
from neuralos.data.rows import AdoptedClips
from neuralos.data.sampler import Segment, SegmentSampler

MakeRows = Callable[..., list[ClipRow]]

NO_FRESH = Mixture(fresh_rows=0)


def sampler(rows: list[ClipRow], mixture: Mixture = NO_FRESH, seed: int = 0) -> SegmentSampler:
    clips = AdoptedClips()
    clips.adopt(max(row.commit for row in rows), rows)
    return SegmentSampler(LaneConfig(lanes=2, frames=8, segments=3), seed, clips, mixture)


def test_passage_reads_consecutive_segments(make_rows: MakeRows) -> None:
    lanes = sampler(make_rows("a", list(range(20)), 1))
    for _ in range(40):
        before = lanes.next()
        for old, new in zip(before, lanes.next(), strict=True):
            if not new.starts:
                assert new.trace_id == old.trace_id
                assert new.first_frame == old.first_frame + old.frames


def test_segment_never_crosses_a_gap(make_rows: MakeRows) -> None:
    lanes = sampler(make_rows("a", [0, 1, 2, 5, 6], 1))
    for _ in range(60):
        for segment in lanes.next():
            first, last = segment.first_frame - 1, segment.first_frame + segment.frames - 1
            assert (first >= 0 and last < 45) or (first >= 75 and last < 105)


def test_short_trace_gives_a_short_segment(make_rows: MakeRows) -> None:
    lanes = sampler(make_rows("a", [0], 1, frames=5))
    assert {(s.first_frame, s.frames) for s in lanes.next()} == {(1, 4)}


def test_duplicates_and_generated_frames_are_never_read(make_rows: MakeRows) -> None:
    rows = [
        *make_rows("good", [0, 1], 1),
        *make_rows("duplicate", [0, 1], 3, weight=0),
        *make_rows("dreamt", [0, 1], 5, frame_source="simulator", source="live"),
    ]
    lanes = sampler(rows, Mixture(fresh_rows=1))
    assert {s.trace_id for _ in range(20) for s in lanes.next()} == {"good"}


def test_source_of_weight_zero_is_not_drawn(make_rows: MakeRows) -> None:
    rows = [*make_rows("b", [0, 1], 1), *make_rows("l", [0, 1], 3, source="live")]
    lanes = sampler(rows, Mixture(weights={"base": 0.0, "live": 1.0}, fresh_rows=0))
    assert {s.trace_id for _ in range(20) for s in lanes.next()} == {"l"}


def test_recent_clips_are_drawn_more_often(make_rows: MakeRows) -> None:
    rows = [*make_rows("old", [0, 1], 1), *make_rows("new", [0, 1], 3)]
    lanes = sampler(rows, Mixture(half_life_clips={"base": 1.0}, fresh_rows=0))
    drawn = Counter(s.trace_id for _ in range(200) for s in lanes.next() if s.starts)
    assert drawn["new"] > 2 * drawn["old"]


def test_fresh_rows_take_unused_live_clips_in_order(make_rows: MakeRows) -> None:
    rows = [*make_rows("b", list(range(9)), 1), *make_rows("l", [0, 1], 10, source="live")]
    lanes = sampler(rows, Mixture(fresh_rows=1))
    taken = [[s for s in lanes.next() if s.fresh] for _ in range(3)]
    assert taken[0] == [Segment("l", 7, 8, starts=True, fresh=True)]
    assert taken[1] == [Segment("l", 22, 8, starts=True, fresh=True)]
    assert taken[2] == []


def test_frozen_intake_takes_no_fresh_clips(make_rows: MakeRows) -> None:
    rows = [*make_rows("b", [0], 1), *make_rows("l", [0], 2, source="live")]
    lanes = sampler(rows, Mixture(fresh_rows=1, live_intake=False))
    assert not any(s.fresh for s in lanes.next())


def test_tombstone_ends_a_passage_at_once(make_rows: MakeRows) -> None:
    clips = AdoptedClips()
    doomed, kept = make_rows("doomed", list(range(9)), 1), make_rows("kept", [0, 1], 10)
    clips.adopt(9, doomed)
    lanes = SegmentSampler(LaneConfig(lanes=1, frames=8, segments=3), 0, clips, NO_FRESH)
    assert lanes.next()[0].trace_id == "doomed"
    clips.adopt(11, [*kept, *(replace(row, state=ClipState.TOMBSTONED) for row in doomed)])
    segment = lanes.next()[0]
    assert segment.trace_id == "kept"
    assert segment.starts


def test_draws_depend_on_seed_and_not_on_history(make_rows: MakeRows) -> None:
    rows = make_rows("a", list(range(30)), 1)
    one, two, other = sampler(rows), sampler(rows), sampler(rows, seed=1)
    first = [one.next() for _ in range(12)]
    assert first == [two.next() for _ in range(12)]
    assert first != [other.next() for _ in range(12)]


def test_restored_lanes_go_on_where_they_were(make_rows: MakeRows) -> None:
    rows = [*make_rows("a", list(range(30)), 1), *make_rows("l", [0, 1, 2], 31, source="live")]
    one, two = sampler(rows, Mixture()), sampler(rows, Mixture())
    for _ in range(4):
        one.next()
    two.load_state_dict(one.state_dict())
    assert [one.next() for _ in range(8)] == [two.next() for _ in range(8)]


def test_a_passage_begins_up_to_the_lead_before_its_clip(make_rows: MakeRows) -> None:
    rows = make_rows("a", list(range(20)), 1)
    rows[10] = replace(rows[10], weight=10**9)
    clips = AdoptedClips()
    clips.adopt(20, rows)
    config = LaneConfig(lanes=8, frames=8, segments=1, lead=60)
    lanes = SegmentSampler(config, 0, clips, NO_FRESH)
    starts = [segment.first_frame for _ in range(40) for segment in lanes.next()]
    assert min(starts) < 100
    assert all(90 <= start < 165 for start in starts)
