from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trace_samples import encoded, filled, sample_clip, sample_header, stored

from data_collection.storage.codec import ClipCorrupt
from data_collection.storage.store import TraceOpening, TraceStore, read_clip
from data_collection.trace import ClipRow, ClipState

COMMITTED, TOMBSTONED = ClipState.COMMITTED, ClipState.TOMBSTONED


def commits(store: TraceStore) -> list[tuple[int, str, int, ClipState]]:
    rows = store.index.rows_after(0, 1000)
    return [(row.commit, row.trace_id, row.seq, row.state) for row in rows]


def two_traces(root: Path) -> TraceStore:
    store = TraceStore.open(root)
    for trace_id in ("t-1", "t-2"):
        store.open_trace(sample_header(trace_id))
    for seq in range(3):
        stored(store, seq, "t-1")
        stored(store, seq, "t-2", look=10 + seq)
    return store


def lose_index(root: Path) -> None:
    for path in root.glob("index.db*"):
        path.unlink()


def code(root: Path, row: ClipRow) -> str:
    with pytest.raises(ClipCorrupt) as caught:
        read_clip(root, row)
    return caught.value.code


def test_a_withdrawal_is_a_row_in_the_order_of_commits(tmp_path: Path) -> None:
    store = two_traces(tmp_path)
    mark = store.index.last_commit
    rows = store.withdraw("t-1", 1, 2)
    assert rows is not None
    assert [(r.commit, r.seq, r.weight, r.state) for r in rows] == [
        (7, 1, 0, TOMBSTONED),
        (8, 2, 0, TOMBSTONED),
    ]
    assert store.index.rows_after(mark, 10) == rows
    assert stored(store, 3, "t-2").commit == 9
    assert commits(store) == [
        (1, "t-1", 0, COMMITTED),
        (2, "t-2", 0, COMMITTED),
        (3, "t-1", 1, TOMBSTONED),
        (4, "t-2", 1, COMMITTED),
        (5, "t-1", 2, TOMBSTONED),
        (6, "t-2", 2, COMMITTED),
        (7, "t-1", 1, TOMBSTONED),
        (8, "t-1", 2, TOMBSTONED),
        (9, "t-2", 3, COMMITTED),
    ]
    assert store.index.rows_after(6, 2) == rows
    assert [(t.clips, t.frames, t.withdrawn) for t in store.index.traces()] == [
        (1, 5, 2),
        (4, 20, 0),
    ]
    assert store.verify() == []
    store.close()


def test_withdrawing_again_changes_nothing(tmp_path: Path) -> None:
    store = two_traces(tmp_path)
    first = store.withdraw("t-1", 1, 1)
    size = (tmp_path / "t-1.mcap").stat().st_size
    assert store.withdraw("t-1", 1, 1) == first
    assert (tmp_path / "t-1.mcap").stat().st_size == size
    whole = store.withdraw("t-1")
    assert whole is not None
    assert [row.commit for row in whole] == [8, 7, 9]
    assert store.withdraw("t-1") == whole
    assert store.withdraw("nobody") is None
    assert store.withdraw("t-2", 5, 4) == []
    assert store.index.last_commit == 9
    store.close()


@pytest.mark.parametrize(
    ("first", "last", "refused", "taken"),
    [(2, 3, [2, 3], [0, 1, 4]), (2, None, [2, 3, 4], [0, 1]), (None, 1, [0, 1], [2, 3])],
)
def test_clips_withdrawn_before_they_arrive_are_refused(
    tmp_path: Path, first: int | None, last: int | None, refused: list[int], taken: list[int]
) -> None:
    store = TraceStore.open(tmp_path)
    store.open_trace(sample_header())
    assert store.withdraw("t-1", first, last) == []
    store.close()
    lose_index(tmp_path)
    store = TraceStore.open(tmp_path)
    for seq in refused:
        assert store.is_withdrawn("t-1", seq)
        with pytest.raises(KeyError):
            stored(store, seq)
    for seq in taken:
        assert not store.is_withdrawn("t-1", seq)
        stored(store, seq)
    store.close()


def test_a_lost_index_is_rebuilt_row_by_row(tmp_path: Path) -> None:
    store = two_traces(tmp_path)
    store.withdraw("t-2", 1, 1)
    stored(store, 3, "t-1", look=10)  # the content of t-2/0: weight 0
    store.withdraw("t-1")
    stored(store, 5, "t-2")
    before = store.index.rows_after(0, 1000)
    assert 0 in [row.weight for row in before if row.state is COMMITTED or row.seq == 3]
    store.close()
    lose_index(tmp_path)
    store = TraceStore.open(tmp_path)
    assert store.index.rows_after(0, 1000) == before
    assert store.open_trace(sample_header("t-1")) is TraceOpening.WITHDRAWN
    assert stored(store, 6, "t-2").commit == before[-1].commit + 1
    assert store.verify() == []
    store.close()


def test_purging_clips_leaves_the_others_where_they_are(tmp_path: Path) -> None:
    rows = filled(tmp_path, 4)
    store = TraceStore.open(tmp_path)
    store.withdraw("t-1", 1, 1)
    store.withdraw("t-1", 3, 3)
    assert store.purge(upto_commit=4) == 0
    assert store.purge("t-2") == 0
    assert read_clip(tmp_path, rows[1]).seq == 1
    assert store.purge(upto_commit=5) == rows[1].length
    assert code(tmp_path, rows[1]) == "purged"
    assert read_clip(tmp_path, rows[3]).seq == 3
    assert store.purge("t-1") == rows[3].length
    assert store.purge() == 0
    stored(store, 4)
    before = store.index.rows_after(0, 100)
    store.close()
    lose_index(tmp_path)
    store = TraceStore.open(tmp_path)
    assert store.index.rows_after(0, 100) == before
    assert [code(tmp_path, rows[seq]) for seq in (1, 3)] == ["purged", "purged"]
    for seq in (0, 2, 4):
        row = store.index.clip("t-1", seq)
        assert row is not None
        np.testing.assert_array_equal(read_clip(tmp_path, row).frames, sample_clip(seq).frames)
    assert store.verify() == []
    assert stored(store, 5).commit == 8
    store.close()


def test_a_purged_trace_shrinks_to_its_header_and_tombstone(tmp_path: Path) -> None:
    store = two_traces(tmp_path)
    path = tmp_path / "t-1.mcap"
    rows = store.index.trace_rows("t-1")
    bodies = [path.read_bytes()[row.offset : row.offset + row.length] for row in rows]
    store.withdraw("t-1")
    assert store.purge() == sum(row.length for row in rows)
    assert not any(body in path.read_bytes() for body in bodies)
    assert [code(tmp_path, row) for row in rows] == ["purged"] * 3
    before = store.index.rows_after(0, 100)
    store.close()
    for lost in (False, True):
        if lost:
            lose_index(tmp_path)
        store = TraceStore.open(tmp_path)
        assert store.index.rows_after(0, 100) == before
        assert store.recovered == [] or lost
        assert store.open_trace(sample_header()) is TraceOpening.WITHDRAWN
        assert (store.verify(), store.purge()) == ([], 0)
        assert stored(store, 7 + lost, "t-2").commit == before[-1].commit + 1
        before = store.index.rows_after(0, 100)
        store.close()


def test_a_tombstone_of_an_older_store_gets_its_numbers(tmp_path: Path) -> None:
    store = two_traces(tmp_path)
    # As it was written before withdrawals were rows.
    for table in ("traces", "clips"):
        store.index._write(f"UPDATE {table} SET state = 'tombstoned' WHERE trace_id = 't-1'")
    store.close()
    store = TraceStore.open(tmp_path)
    assert [row[:3] for row in commits(store)[6:]] == [(7, "t-1", 0), (8, "t-1", 1), (9, "t-1", 2)]
    store.close()
    TraceStore.open(tmp_path).close()


def test_a_crash_between_file_and_index_loses_no_withdrawal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = two_traces(tmp_path)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    for name, call in (("withdraw", "withdraw"), ("mark_purged", "purge")):
        with monkeypatch.context() as patch:
            patch.setattr(store.index, name, crash)
            with pytest.raises(KeyboardInterrupt):
                getattr(store, call)("t-1")
        store.index.close()
        store._lock.release()
        store = TraceStore.open(tmp_path)
        rows = store.index.trace_rows("t-1")
        assert [row.state for row in rows] == [TOMBSTONED] * 3
        assert store.index.last_commit == 9
    assert [code(tmp_path, row) for row in rows] == ["purged"] * 3
    assert store.purge() == 0
    assert store.verify() == []
    store.close()


def test_a_withdrawn_clip_that_is_sent_again_stays_withdrawn(tmp_path: Path) -> None:
    store = two_traces(tmp_path)
    store.withdraw("t-1", 0, 0)
    again = store.append(sample_header(), encoded(sample_clip(0)), 1.0)
    assert (again.new, again.row.state) == (False, TOMBSTONED)
    assert store.is_withdrawn("t-1", 0)
    # Another trace may hold the same content: it weighs what the withdrawn one did.
    store.open_trace(sample_header("t-3"))
    row = stored(store, 0, "t-3", look=0)
    assert row.weight > 0
    assert replace(row, commit=0).trace_id == "t-3"
    store.close()
