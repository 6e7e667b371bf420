from __future__ import annotations

from dataclasses import replace

from data_collection.trace import ClipRow, ClipState
from experiments.lags import clip_paths, known_percentiles, percentiles
from interactive.record.ledger import Entry, EntryKind
from interactive.record.metrics import MetricsRow
from interactive.trainer import StepRecord


def row(commit: int, captured_wall_s: float) -> ClipRow:
    return ClipRow(
        commit=commit,
        trace_id="t",
        seq=commit,
        source="live",
        file="t.mcap",
        offset=0,
        length=1,
        body_sha="",
        content_sha="",
        first_frame=0,
        frames=15,
        weight=1,
        frame_source="real",
        policy="",
        captured_wall_s=captured_wall_s,
        acknowledged_wall_s=captured_wall_s + 0.5,
    )


def mark(seq: int, step: int, commit: int, wall_s: float) -> Entry:
    return Entry(seq, step, "main", EntryKind.MARK, wall_s, {"mark": commit})


def step(number: int, commits: tuple[int, ...], wall_s: float, branch: str = "main") -> MetricsRow:
    record = StepRecord(number, loss=1.0, grad_norm=1.0, lr=1e-3, commits=commits)
    return MetricsRow.of(record, branch=branch, mark=0, entries=0, wall_s=wall_s)


def test_a_clip_is_followed_from_its_last_frame_to_its_first_gradient() -> None:
    paths = clip_paths(
        [row(1, 10.0), row(2, 11.0), row(3, 12.0)],
        [mark(0, 1, 1, 11.5), mark(1, 4, 2, 13.0), mark(2, 2, 2, 20.0)],
        [step(1, (1,), 12.0), step(4, (1, 2), 14.0), step(2, (2,), 21.0, branch="b1")],
    )
    assert (paths[1].mark_step, paths[2].mark_step, paths[3].mark_step) == (1, 4, None)
    assert paths[1].uses == [("main", 1), ("main", 4)]
    assert paths[2].uses == [("main", 4), ("b1", 2)]
    assert paths[1].eligible_lag_s(99.0) == 1.5
    assert paths[2].first_gradient_lag_s(99.0) == 3.0


def test_an_unused_clip_counts_with_its_age() -> None:
    paths = clip_paths([row(1, 10.0)], [], [])
    assert paths[1].first_gradient_step is None
    assert paths[1].first_gradient_lag_s(17.0) == 7.0
    assert paths[1].eligible_lag_s(17.0) == 7.0


def test_percentiles_of_nothing_are_none() -> None:
    assert percentiles([]) == {"p50": None, "p95": None}
    assert percentiles([1.0, 2.0, 3.0]) == {"p50": 2.0, "p95": 2.9}


def withdrawal(of: ClipRow, commit: int) -> ClipRow:
    return replace(of, commit=commit, weight=0, state=ClipState.TOMBSTONED)


def test_a_withdrawn_clip_counts_as_far_as_it_came_and_no_further() -> None:
    clips = [row(1, 10.0), row(2, 11.0), row(3, 12.0)]
    rows = [*clips, withdrawal(clips[2], 4), withdrawal(clips[0], 5), withdrawal(clips[1], 6)]
    facts = Entry(2, 5, "main", EntryKind.WITHDRAWAL, 14.0, {"withdrawn": [1, 2], "upto": 6})
    paths = clip_paths(
        rows, [mark(0, 1, 2, 11.5), mark(1, 3, 4, 13.0), facts], [step(1, (1,), 12.0)]
    )
    assert sorted(paths) == [1, 2, 3]
    assert [paths[c].withdrawn_step for c in (1, 2, 3)] == [5, 5, None]
    assert [paths[c].mark_step for c in (1, 2, 3)] == [1, 1, None]
    assert [paths[c].eligible_lag_s(99.0) for c in (1, 2, 3)] == [1.5, 0.5, None]
    assert [paths[c].first_gradient_lag_s(99.0) for c in (1, 2, 3)] == [2.0, None, None]
    lags = [paths[c].first_gradient_lag_s(99.0) for c in (1, 2, 3)]
    assert known_percentiles(lags) == {"p50": 2.0, "p95": 2.0}


def test_a_window_with_another_clock_has_the_same_lags() -> None:
    """Its clock is 300 s behind, or ahead; without an estimate no lag is negative."""
    entries, steps = [mark(0, 1, 1, 11.5)], [step(1, (1,), 12.0)]
    for ahead_s in (300.0, -300.0):
        clip = replace(row(1, 10.0), captured_wall_s=10.0 + ahead_s)
        path = clip_paths([clip], entries, steps, {"t": -ahead_s})[1]
        assert (path.eligible_lag_s(99.0), path.first_gradient_lag_s(99.0)) == (1.5, 2.0)
    ahead = replace(row(1, 10.0), captured_wall_s=310.0)
    assert clip_paths([ahead], entries, steps)[1].eligible_lag_s(99.0) == 1.0
