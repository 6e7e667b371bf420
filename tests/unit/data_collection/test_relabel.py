from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from relabel_samples import PERIOD_NS, Sitting, put, sitting
from window_fakes import FakeClock, FakeDesktop

from data_collection.desktops.desktop import Desktop
from data_collection.desktops.scripted import ScriptedConfig, ScriptedDesktop
from data_collection.events import Event, Marker
from data_collection.recording.chain import NotReplayable, Stretch, chain_of
from data_collection.recording.noise_floor import FloorMeter, NoiseFloor
from data_collection.recording.relabel import AsDrawn, TrueCadence, relabel, relabelled_header
from data_collection.storage.store import TraceStore
from data_collection.trace import Clip, Frame


@pytest.fixture(scope="module")
def sat() -> Sitting:
    return sitting()


@pytest.fixture
def store(sat: Sitting, tmp_path: Path) -> Iterator[TraceStore]:
    opened = sat.store(tmp_path)
    yield opened
    opened.close()


def chain(store: TraceStore, trace_id: str) -> list[Stretch]:
    return chain_of(trace_id, store.root, store.header, store.index.trace_rows)


def replayed(store: TraceStore, trace_id: str, desktop: Desktop | None = None) -> list[Clip]:
    return list(
        relabel(
            desktop or ScriptedDesktop(), chain(store, trace_id), store.root, "again", AsDrawn()
        )
    )


def floor_of(replays: list[list[Clip]]) -> NoiseFloor:
    meter = FloorMeter()
    assert meter.floor is None
    for clips in zip(*replays, strict=True):
        meter.add(clips)
    assert meter.floor is not None
    return meter.floor


def test_a_real_trace_relabelled_on_the_same_desktop_is_the_same(
    store: TraceStore, sat: Sitting
) -> None:
    clips = replayed(store, sat.real.trace_id)
    assert len(clips) == len(sat.real_clips)
    for again, first in zip(clips, sat.real_clips, strict=True):
        assert np.array_equal(again.frames, first.frames)
        assert again.state == first.state
        assert replace(again, trace_id=first.trace_id, frames=first.frames) == first


def test_a_simulators_session_gets_the_frames_that_the_real_desktop_would_have_shown(
    store: TraceStore, sat: Sitting
) -> None:
    clips = replayed(store, sat.simulated.trace_id)
    frames = [frame for clip in clips for frame in clip.frames]
    assert np.array_equal(frames, sat.truth)
    for again, first in zip(clips, sat.simulated_clips, strict=True):
        assert (again.seq, again.first_frame) == (first.seq, first.first_frame)
        assert (again.events, again.t_mono_ns) == (first.events, first.t_mono_ns)
        assert not np.array_equal(again.frames, first.frames)


def test_a_replay_told_to_end_gives_whole_clips_only(store: TraceStore, sat: Sitting) -> None:
    asked = iter(range(1000))
    clips = relabel(
        ScriptedDesktop(),
        chain(store, sat.real.trace_id),
        store.root,
        "again",
        AsDrawn(),
        until=lambda: next(asked) == 20,
    )
    assert [clip.seq for clip in clips] == [0]


def test_a_relabelled_header_keeps_who_agreed_and_names_its_origin(sat: Sitting) -> None:
    header = relabelled_header(sat.simulated, "again", ScriptedDesktop())
    assert (header.origin, header.frame_source) == (sat.simulated.trace_id, "real")
    assert (header.desktop, header.checkpoint) == ("scripted", "")
    kept = ("source", "policy", "consent", "seed", "anchor_mono_ns", "fps", "follows")
    assert all(getattr(header, name) == getattr(sat.simulated, name) for name in kept)


def test_a_session_after_something_that_was_not_recorded_is_refused(
    store: TraceStore, sat: Sitting
) -> None:
    lone = replace(sat.simulated, trace_id="lone", follows="", follows_frames=0)
    put(store, lone, [replace(clip, trace_id="lone") for clip in sat.simulated_clips])
    with pytest.raises(NotReplayable) as refusal:
        chain(store, "lone")
    assert (refusal.value.code, refusal.value.trace_id) == ("no_reset", "lone")


def test_a_session_whose_way_is_incomplete_is_refused(store: TraceStore, sat: Sitting) -> None:
    more = sat.simulated.follows_frames + 1
    late = replace(sat.simulated, trace_id="late", follows_frames=more)
    put(store, late, [replace(clip, trace_id="late") for clip in sat.simulated_clips])
    with pytest.raises(NotReplayable, match="30 of its 31 frames") as refusal:
        chain(store, "late")
    assert refusal.value.code == "incomplete"
    store.withdraw(sat.real.trace_id, 1, 1)
    with pytest.raises(NotReplayable, match="clip 1 is withdrawn"):
        chain(store, sat.simulated.trace_id)
    store.withdraw(sat.real.trace_id)
    with pytest.raises(NotReplayable, match="withdrawn") as refusal:
        chain(store, sat.simulated.trace_id)
    assert refusal.value.code == "not_there"


def test_a_gap_in_a_trace_is_refused(store: TraceStore, sat: Sitting) -> None:
    gappy = replace(sat.real, trace_id="gappy")
    put(store, gappy, [replace(sat.real_clips[1], trace_id="gappy")])
    with pytest.raises(NotReplayable, match="clip 0 is missing"):
        chain(store, "gappy")


def test_events_off_the_screen_are_refused(store: TraceStore, sat: Sitting) -> None:
    small = ScriptedDesktop(ScriptedConfig(width_px=256, height_px=192))
    with pytest.raises(NotReplayable) as refusal:
        replayed(store, sat.real.trace_id, small)
    assert refusal.value.code == "off_screen"


def test_what_was_redacted_is_not_replayed(store: TraceStore, sat: Sitting) -> None:
    first, last = sat.real_clips
    marked = (*first.events[:-1], (*first.events[-1], Marker("redact_start")))
    redacted = replace(sat.real, trace_id="redacted")
    clips = [replace(first, trace_id="redacted", events=marked), replace(last, trace_id="redacted")]
    put(store, redacted, clips)
    with pytest.raises(NotReplayable) as refusal:
        replayed(store, "redacted")
    assert refusal.value.code == "redacted"


def test_frames_come_at_the_intervals_at_which_they_came_before() -> None:
    clock = FakeClock()
    cadence = TrueCadence(clock, 15)
    begun_ns = clock.now_ns
    came = []
    for t_ns in (7 * PERIOD_NS, 8 * PERIOD_NS, 11 * PERIOD_NS, 11 * PERIOD_NS + 60 * 10**9):
        cadence.await_frame(t_ns)
        came.append(clock.now_ns - begun_ns)
    # A frame's period of lead; a minute in which nothing was recorded is not waited out.
    assert came == pytest.approx([PERIOD_NS, 2 * PERIOD_NS, 5 * PERIOD_NS, 5 * PERIOD_NS + 5e9])
    assert (cadence.late, cadence.latest_ms) == (0, pytest.approx(0, abs=1e-3))


def test_a_slow_desktop_is_counted_late_and_the_schedule_stays() -> None:
    clock = FakeClock()
    cadence = TrueCadence(clock, 15)
    cadence.await_frame(PERIOD_NS)
    clock.now_ns += 2 * PERIOD_NS
    cadence.await_frame(2 * PERIOD_NS)
    assert cadence.late == 1
    assert cadence.latest_ms == pytest.approx(PERIOD_NS / 1e6)
    cadence.await_frame(5 * PERIOD_NS)
    assert cadence.late == 1


def test_the_floor_of_the_scripted_desktop_is_exactly_zero(store: TraceStore, sat: Sitting) -> None:
    replays = [replayed(store, sat.simulated.trace_id) for _ in range(3)]
    floor = floor_of(replays).to_json()
    assert floor["pairs"] == 3
    assert (floor["frames"], floor["identical"]) == (len(sat.truth), 1.0)
    for measure in ("mse", "changed_px"):
        assert floor[measure] == {"p50": 0.0, "p95": 0.0, "max": 0.0}


class Flickering(FakeDesktop):
    """Shows another grey in a quarter of each picture, every time that it is made."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).made += 1
        self.grey = 10 * type(self).made

    def step(self, events: Sequence[Event]) -> Frame:
        frame = super().step(()).copy()
        frame[: self.height_px // 2, : self.width_px // 2] = self.grey
        return frame


def test_the_floor_measures_what_differs(store: TraceStore, sat: Sitting) -> None:
    tiny = replace(sat.real, trace_id="tiny", width_px=64, height_px=48)
    events = ((Marker("reset"),),) * 15
    clips = [
        replace(clip, trace_id="tiny", frames=clip.frames[:, :48, :64], events=events)
        for clip in sat.real_clips
    ]
    put(store, tiny, clips)
    replays = [replayed(store, "tiny", Flickering()) for _ in range(2)]
    floor = floor_of(replays)
    assert floor.changed_px == (0.25, 0.25, 0.25)
    assert floor.identical == 0.0
    assert floor.mse == (25.0, 25.0, 25.0)


def test_a_floor_of_one_replay_is_refused(sat: Sitting) -> None:
    with pytest.raises(ValueError, match="two replays"):
        FloorMeter().add(sat.real_clips[:1])
