"""A store on a disk that fails at any moment of a short session."""

from __future__ import annotations

import errno
import itertools
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from trace_samples import encoded, sample_clip, sample_header, stored

from data_collection.storage.index import IndexFailed, QuarantinedClip
from data_collection.storage.store import TraceOpening, TraceStore, read_clip
from data_collection.trace import ClipRow, ClipState
from tests.faults import FailingDisk, failing_disk

Result = TypeVar("Result")


@dataclass
class Session:
    """A short session; what the store said is done stands in the fields."""

    root: Path
    rows: list[ClipRow] = field(default_factory=list)
    withdrawn: list[ClipRow] = field(default_factory=list)
    quarantined: int = 0
    failures: int = 0

    def run(self) -> None:
        """Open, record two traces, withdraw and purge, close; go on after every failure."""
        for trace_ids in (("t-1", "t-2"), ("t-1",)):
            store = self._attempt(lambda: TraceStore.open(self.root))
            if store is None:
                continue
            for trace_id in trace_ids:
                self._record(store, trace_id)
            self._attempt(partial(self._withdraw, store))
            self._attempt(partial(self._quarantine, store))
            self._attempt(store.purge)
            self._attempt(store.close)

    def _record(self, store: TraceStore, trace_id: str) -> None:
        opening = self._attempt(partial(store.open_trace, sample_header(trace_id)))
        if opening not in (TraceOpening.NEW, TraceOpening.KNOWN):
            return
        for seq in range(3):
            if store.is_withdrawn(trace_id, seq):
                continue
            # A writer tries once more, as a pusher does with a clip not acknowledged.
            for _ in range(2):
                row = self._attempt(partial(stored, store, seq, trace_id))
                if row is not None:
                    self.rows.append(row)
                    break

    def _withdraw(self, store: TraceStore) -> None:
        self.withdrawn += store.withdraw("t-1", 1, 1) or []

    def _quarantine(self, store: TraceStore) -> None:
        store.quarantine(QuarantinedClip("t-1", 9, "sha", "screen", "too small", 1.0), b"body")
        self.quarantined = 1

    def _attempt(self, call: Callable[[], Result]) -> Result | None:
        try:
            return call()
        except OSError:
            self.failures += 1
            return None


def check(session: Session, disk: FailingDisk) -> None:
    """What was acknowledged is there, after a plain reopening; the store goes on."""
    store = TraceStore.open(session.root)
    rows = store.index.rows_after(0, 1000)
    assert [row.commit for row in rows] == list(range(1, len(rows) + 1)), disk.failures
    by_place = {(row.trace_id, row.seq): row for row in rows if row.commit == _own(rows, row)}
    for row in session.rows:
        found = by_place[row.trace_id, row.seq]
        assert (found.commit, found.body_sha) == (row.commit, row.body_sha)
        if found.state is ClipState.COMMITTED:
            original = sample_clip(row.seq, row.trace_id)
            np.testing.assert_array_equal(read_clip(session.root, found).frames, original.frames)
    for row in session.withdrawn:
        assert by_place[row.trace_id, row.seq].state is ClipState.TOMBSTONED
    assert store.index.quarantine_count() >= session.quarantined
    assert store.verify() == []
    store.open_trace(sample_header("t-9"))
    assert stored(store, 0, "t-9").commit == len(rows) + 1
    store.close()
    for path in session.root.glob("index.db*"):
        path.unlink()
    rebuilt = TraceStore.open(session.root)
    assert rebuilt.index.rows_after(0, len(rows)) == rows
    rebuilt.close()


def _own(rows: list[ClipRow], row: ClipRow) -> int:
    return min(one.commit for one in rows if (one.trace_id, one.seq) == (row.trace_id, row.seq))


def count_operations(root: Path) -> int:
    with failing_disk(root) as disk:
        session = Session(root)
        session.run()
    assert session.failures == 0
    check(session, disk)
    return disk.operations


def fail_at_each(
    tmp_path: Path, code: int, *, lasting: bool, late: bool, first: int = 0, step: int = 1
) -> None:
    operations = count_operations(tmp_path / "whole")
    assert operations > 60
    for at in range(first, operations, step):
        root = tmp_path / str(at)
        with failing_disk(root, code, at, lasting=lasting, late=late) as disk:
            session = Session(root)
            session.run()
        assert disk.failures
        check(session, disk)


@pytest.mark.parametrize("late", [False, True])
def test_a_failure_at_any_moment_loses_nothing_acknowledged(tmp_path: Path, late: bool) -> None:
    # Every second moment each; the long variant takes them all.
    code = errno.EIO if late else errno.ENOSPC
    fail_at_each(tmp_path, code, lasting=False, late=late, first=int(late), step=2)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("code", "lasting", "late"),
    itertools.product((errno.ENOSPC, errno.EIO), (False, True), (False, True)),
)
def test_every_kind_of_failure_at_any_moment(
    tmp_path: Path, code: int, lasting: bool, late: bool
) -> None:
    fail_at_each(tmp_path, code, lasting=lasting, late=late)


def test_an_index_that_may_not_grow_refuses_and_goes_on(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path)
    store.open_trace(sample_header())
    connection = store.index._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    kept: list[ClipRow] = []
    with suppress(IndexFailed):
        while True:
            kept.append(stored(store, len(kept)))
    assert kept
    connection.execute("PRAGMA max_page_count = 1000000")
    row = stored(store, len(kept))
    assert row.commit == len(kept) + 1
    assert store.verify() == []
    store.close()
    again = TraceStore.open(tmp_path)
    assert again.index.rows_after(0, 1000) == [*kept, row]
    again.close()


def test_a_damaged_index_is_set_aside_and_rebuilt(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path)
    store.open_trace(sample_header())
    rows = [stored(store, seq) for seq in range(60)]
    store.close()
    rng = np.random.default_rng(5)
    path = tmp_path / "index.db"
    content = path.read_bytes()
    damages = [
        b"not a database at all" * 400,
        content[: len(content) // 2],
        content[:4096] + rng.bytes(len(content) - 4096),
    ]
    for number, damaged in enumerate(damages):
        path.write_bytes(damaged)
        store = TraceStore.open(tmp_path)
        assert store.index.rows_after(0, 1000) == rows
        (found,) = [one for one in store.recovered if one.trace == "index.db"]
        assert f"set-aside/index.db.{number}" in found.reason
        store.close()
        assert (tmp_path / "set-aside" / f"index.db.{number}").read_bytes() == damaged


def test_the_failing_disk_fails_where_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    with failing_disk(tmp_path / "bad", errno.EIO, at=0, lasting=True) as disk:
        (tmp_path / "good").write_bytes(b"fine")
        with pytest.raises(OSError, match="error"):
            (tmp_path / "bad" / "a").write_bytes(b"0123456789")
        connection = sqlite3.connect(tmp_path / "bad" / "db")
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("BEGIN")
        connection.close()
    assert disk.failures[0] == "write"
    assert disk.failures[-1] == "BEGIN"
    assert encoded(sample_clip(0)).frames == 5
