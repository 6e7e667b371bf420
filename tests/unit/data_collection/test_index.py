from __future__ import annotations

from pathlib import Path

from trace_samples import sample_header

from data_collection.storage.index import Index, QuarantinedClip, SourceCount
from data_collection.storage.tombstone import Tombstone, Withdrawal
from data_collection.trace import ClipRow, ClipState


def row(seq: int, trace_id: str = "t-1", content: str | None = None) -> ClipRow:
    return ClipRow(
        commit=0,
        trace_id=trace_id,
        seq=seq,
        source="human",
        file=f"{trace_id}.mcap",
        offset=100 * seq,
        length=100,
        body_sha=f"body-{trace_id}-{seq}",
        content_sha=content or f"content-{trace_id}-{seq}",
        first_frame=15 * seq,
        frames=15,
        weight=3,
        frame_source="real",
        policy="",
        captured_wall_s=float(seq),
        acknowledged_wall_s=float(seq) + 0.5,
    )


def test_commits_are_dense_and_outlive_the_process(tmp_path: Path) -> None:
    index = Index.open(tmp_path / "index.db")
    index.add_trace(sample_header())
    stored = [index.commit(row(seq)) for seq in (2, 0)]
    index.close()
    index = Index.open(tmp_path / "index.db")
    stored.append(index.commit(row(1)))
    assert [r.commit for r in stored] == [1, 2, 3]
    assert index.rows_after(0, 10) == stored
    assert index.rows_after(1, 1) == stored[1:2]
    assert index.rows_after(3, 10) == []
    assert [r.seq for r in index.trace_rows("t-1")] == index.present("t-1") == [0, 1, 2]
    assert index.last_commit == 3
    index.close()


def test_a_withdrawn_original_gives_its_weight_to_the_next_of_its_kind(tmp_path: Path) -> None:
    index = Index.open(tmp_path / "index.db")
    for trace_id in ("t-1", "t-2", "t-3"):
        index.add_trace(sample_header(trace_id))
    assert index.commit(row(0, "t-1", "same")).weight == 3
    assert index.commit(row(0, "t-2", "same")).weight == 0
    index.withdraw("t-1", Tombstone(withdrawals=(Withdrawal(index.trace_rows("t-1")[0], 3),)))
    assert index.commit(row(0, "t-3", "same")).weight == 3
    assert index.counts() == [
        SourceCount("human", ClipState.COMMITTED, 2),
        SourceCount("human", ClipState.TOMBSTONED, 1),
    ]
    summaries = [(t.header.trace_id, t.state.value, t.clips) for t in index.traces()]
    assert summaries == [
        ("t-1", "tombstoned", 0),
        ("t-2", "committed", 1),
        ("t-3", "committed", 1),
    ]
    index.close()


def test_a_clip_quarantined_twice_is_noted_once(tmp_path: Path) -> None:
    index = Index.open(tmp_path / "index.db")
    for at_wall_s in (1.0, 2.0):
        index.quarantine(QuarantinedClip("t-1", 0, "sha", "screen", "too small", at_wall_s))
    assert [clip.at_wall_s for clip in index.quarantined()] == [2.0]
    assert index.quarantine_count() == 1
    index.close()
