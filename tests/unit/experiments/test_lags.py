from __future__ import annotations

from data_collection.trace import ClipRow
from experiments.lags import clip_paths, percentiles
from interactive.ledger import Entry, EntryKind
from interactive.metrics import MetricsRow
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
