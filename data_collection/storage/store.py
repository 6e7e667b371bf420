"""A folder of traces: one file each, an index over all, one process that writes.

A clip is durable in its file before its row is committed, and the row before it is
returned; so a row always has its bytes. Bytes without a row, left by a crash between
the two, get theirs when the store is opened again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from data_collection.storage import purge, quarantine, trace_file
from data_collection.storage.codec import (
    ClipCorrupt,
)
from data_collection.storage.encoded import EncodedClip as EncodedClip
from data_collection.storage.encoded import row_of
from data_collection.storage.index import Index, QuarantinedClip
from data_collection.storage.lock import StoreLock
from data_collection.storage.reading import read_clip as read_clip
from data_collection.storage.reading import read_frames as read_frames
from data_collection.storage.recovery import Recovered as Recovered
from data_collection.storage.recovery import open_index, recover_store
from data_collection.storage.recovery import recover_file as recover_file
from data_collection.storage.tombstone import LAST_SEQ, Tombstone, Withdrawal
from data_collection.trace import ClipRow, ClipState, TraceHeader

LOCK_FILE = "store.lock"
_ROWS_AT_ONCE = 1000


class TraceOpening(str, Enum):
    """What came of opening a trace."""

    NEW = "new"
    KNOWN = "known"
    DIFFERENT = "different"
    """The id belongs to a trace with another header."""
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Stored:
    """The row at a clip's place; not ``new`` if it was there before."""

    row: ClipRow
    new: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """Something ``verify`` found."""

    trace: str
    clip: int
    code: str
    hint: str


class TraceStore:
    """The store; safe to call from several threads of the process that opened it.

    ``recovered`` is what opening it put right.
    """

    def __init__(self, root: Path, lock: StoreLock, index: Index) -> None:
        self.root = root
        self.index = index
        self.recovered: list[Recovered] = []
        self._lock = lock
        self._append = threading.RLock()
        # Where the data of each trace ends in its file, bytes, and which files lack an ending.
        self._ends: dict[str, int] = {}
        self._unsealed: set[str] = set()
        # Traces whose last record may be in the index although it failed: the end it would have.
        self._doubtful: dict[str, tuple[int, Callable[[], bool]]] = {}

    @classmethod
    def open(cls, root: Path) -> TraceStore:
        """Open or create the store in a folder and bring files and index together.

        Raises:
            StoreLocked: another process has it open.
            OSError: the folder cannot be read or written.
        """
        root.mkdir(parents=True, exist_ok=True)
        lock = StoreLock.acquire(root / LOCK_FILE)
        index: Index | None = None
        try:
            index, damage = open_index(root)
            store = cls(root, lock, index)
            store._ends, store.recovered = recover_store(root, index)
            store.recovered[:0] = damage
            for trace_id, end in store._ends.items():
                if not trace_file.is_sealed(store._path(trace_id), end):
                    store._unsealed.add(trace_id)
        except BaseException:
            if index is not None:
                index.close()
            lock.release()
            raise
        return store

    def open_trace(self, header: TraceHeader) -> TraceOpening:
        """Make a trace ready for its clips; opening it again changes nothing.

        Raises:
            ValueError: the trace id may not name a file.
            FileExistsError: a file that holds no trace stands in the trace's place.
        """
        path = self._path(header.trace_id)
        with self._append:
            known = self.index.trace(header.trace_id)
            if known is None:
                self._create(path, header)
                return TraceOpening.NEW
        if known[1] is ClipState.TOMBSTONED:
            return TraceOpening.WITHDRAWN
        return TraceOpening.KNOWN if known[0] == header else TraceOpening.DIFFERENT

    def header(self, trace_id: str) -> TraceHeader | None:
        """Return the header of a trace that is stored and not withdrawn."""
        known = self.index.trace(trace_id)
        return known[0] if known and known[1] is ClipState.COMMITTED else None

    def is_withdrawn(self, trace_id: str, seq: int) -> bool:
        """Tell whether a clip's place was withdrawn, before or after the clip came.

        A replay holds what was done in its origin: what is withdrawn there is so here.
        """
        for one in self._with_origins(trace_id):
            known = self.index.trace(one)
            row = self.index.clip(one, seq)
            if (
                (known is not None and known[1] is ClipState.TOMBSTONED)
                or (row is not None and row.state is ClipState.TOMBSTONED)
                or self.index.is_refused(one, seq, seq)
            ):
                return True
        return False

    def append(self, header: TraceHeader, encoded: EncodedClip, now_wall_s: float) -> Stored:
        """Store a clip of an opened trace, durably, unless its place is taken.

        Raises:
            KeyError: the trace was never opened, or it or the clip's place is withdrawn.
            OSError: the disk or the index failed; the clip is not stored.
        """
        with self._append:
            taken = self.index.clip(header.trace_id, encoded.seq)
            if taken:
                return Stored(taken, new=False)
            if self.header(header.trace_id) is None:
                raise KeyError(header.trace_id)
            if self.is_withdrawn(header.trace_id, encoded.seq):
                raise KeyError(f"{header.trace_id}/{encoded.seq}")
            row = self.index.numbered(row_of(header, encoded, 0, now_wall_s))
            noted = trace_file.CommitRecord(row.commit, now_wall_s, row.weight, row.content_sha)
            record = trace_file.append_body(
                self._path(header.trace_id),
                self._end(header.trace_id),
                encoded.seq,
                encoded.last_ns,
                encoded.body,
                noted,
            )
            row = replace(row, offset=record.offset)

            def is_indexed() -> bool:
                return self.index.clip(header.trace_id, encoded.seq) is not None

            with self._ending_at(header.trace_id, record.end, is_indexed):
                self.index.restore(row)
            return Stored(row, new=True)

    def withdraw(
        self, trace_id: str, first: int | None = None, last: int | None = None
    ) -> list[ClipRow] | None:
        """Take back a trace, or some of its clips; again changes nothing.

        Each clip's withdrawal is a row of its own in the order of commits. Clips of the
        interval that have not arrived yet are refused when they do. Replays of the trace
        (``TraceHeader.origin``) hold the same events: their clips go with it.

        Args:
            trace_id: an opened trace.
            first: the first clip taken back; from the beginning if not given.
            last: the last one; to the end, and all that comes later, if not given.

        Returns:
            The trace's withdrawal rows of the interval, None if there is no such trace.
        """
        with self._append:
            for replay in self._replays(trace_id):
                self._withdraw(replay, first, last)
            return self._withdraw(trace_id, first, last)

    def _withdraw(self, trace_id: str, first: int | None, last: int | None) -> list[ClipRow] | None:
        whole = first is None and last is None
        low = 0 if first is None else max(first, 0)
        high = LAST_SEQ if last is None else min(last, LAST_SEQ)
        with self._append:
            known = self.index.trace(trace_id)
            if known is None:
                return None
            live = [
                row
                for row in self.index.trace_rows(trace_id)
                if low <= row.seq <= high and row.state is ClipState.COMMITTED
            ]
            is_told = self.index.is_refused(trace_id, low, high) and (
                not whole or known[1] is ClipState.TOMBSTONED
            )
            if low <= high and (live or not is_told):
                commits = range(self.index.last_commit + 1, self.index.last_commit + 1 + len(live))
                fresh = tuple(map(Withdrawal, live, commits))
                self._tell(trace_id, Tombstone(low, high, whole, fresh))
            # What was refused of these clips was the same person's.
            quarantine.destroy(self.root, trace_id, low, high)
            self.index.forget_quarantined(trace_id, low, high)
            return [one.row for one in self.index.withdrawals(trace_id, low, high)]

    def purge(self, trace_id: str | None = None, upto_commit: int | None = None) -> int:
        """Destroy the bytes of withdrawn clips; every other clip stays where it is.

        Args:
            trace_id: of this trace only.
            upto_commit: those whose withdrawal has at most this commit number.

        Returns:
            How many bytes of clips were destroyed.
        """
        upto = self.index.last_commit if upto_commit is None else upto_commit
        destroyed_bytes = 0
        with self._append:
            for one in self.index.unpurged(upto):
                if trace_id in (None, one) and one in self._ends:
                    destroyed_bytes += self._purge(one, upto)
        return destroyed_bytes

    def quarantine(self, clip: QuarantinedClip, body: bytes) -> None:
        """Keep a refused body and its reason apart from the traces, unless it is withdrawn.

        Raises:
            ValueError: the trace id may not name a file.
        """
        with self._append:
            if not self.is_withdrawn(clip.trace_id, clip.seq):
                quarantine.keep(self.root, clip, body)
                self.index.quarantine(clip)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> list[Problem]:
        """Read every clip that stands back; return what is wrong.

        Args:
            progress: told how many rows of how many are done.
        """
        problems: list[Problem] = []
        last, reached = self.index.last_commit, 0
        while rows := self.index.rows_after(reached, _ROWS_AT_ONCE):
            for row in rows:
                if row.commit != reached + 1:
                    hint = f"commit {row.commit} follows {reached}: a trace's file may be missing"
                    problems.append(Problem(row.trace_id, row.seq, "commit_gap", hint))
                reached = row.commit
                if row.state is ClipState.COMMITTED:
                    try:
                        read_clip(self.root, row)
                    except ClipCorrupt as error:
                        problems.append(Problem(row.trace_id, row.seq, error.code, error.hint))
                if progress is not None:
                    progress(reached, max(last, reached))
        return problems

    def close(self) -> None:
        """End the files written to, close the index, give the lock back."""
        with self._append:
            try:
                for trace_id in sorted(self._unsealed):
                    trace_file.seal(self._path(trace_id), self._end(trace_id))
            finally:
                self.index.close()
                self._lock.release()

    def _replays(self, trace_id: str) -> list[str]:
        """Return the replays of a trace, and in turn the replays of those."""
        origins = {one.header.trace_id: one.header.origin for one in self.index.traces()}
        found = [trace_id]
        for origin in found:
            found += [one for one, of in origins.items() if of == origin and one not in found]
        return found[1:]

    def _with_origins(self, trace_id: str) -> list[str]:
        """Return a trace and those whose replay it is, as far as they are here."""
        chain: list[str] = []
        while trace_id and trace_id not in chain:
            chain.append(trace_id)
            known = self.index.trace(trace_id)
            trace_id = known[0].origin if known else ""
        return chain

    def _path(self, trace_id: str) -> Path:
        return self.root / trace_file.file_name(trace_id)

    def _create(self, path: Path, header: TraceHeader) -> None:
        if path.exists() and not _is_trace_of(path, header):
            raise FileExistsError(f"{path} holds another thing than the trace {header.trace_id}")
        self._ends[header.trace_id] = trace_file.create(path, header)
        self._unsealed.add(header.trace_id)
        self.index.add_trace(header)

    def _end(self, trace_id: str) -> int:
        """Return where a trace's data ends, after settling what a failure left open."""
        if trace_id in self._doubtful:
            end, is_indexed = self._doubtful[trace_id]
            if is_indexed():
                self._ends[trace_id] = end
            del self._doubtful[trace_id]
        if trace_id not in self._ends:
            raise FileNotFoundError(f"{self._path(trace_id)} is missing")
        return self._ends[trace_id]

    @contextmanager
    def _ending_at(self, trace_id: str, end: int, is_indexed: Callable[[], bool]) -> Iterator[None]:
        """Move a trace's end once its record in the index is made.

        A commit that failed may have reached the disk: before the next write to the
        file the index is asked whether it did, and until then nothing is cut.
        """
        self._unsealed.add(trace_id)
        try:
            yield
        except BaseException:
            self._doubtful[trace_id] = (end, is_indexed)
            raise
        self._ends[trace_id] = end

    def _tell(self, trace_id: str, tombstone: Tombstone) -> None:
        if trace_id not in self._ends:
            # The file is missing; should it come back, the index knows better.
            self.index.withdraw(trace_id, tombstone)
            return
        # In the file first, so that an index rebuilt from files knows of it.
        end = trace_file.append_note(self._path(trace_id), self._end(trace_id), *tombstone.note())
        commits = {one.commit for one in tombstone.withdrawals}

        def is_indexed() -> bool:
            known = {one.commit for one in self.index.withdrawals(trace_id)}
            return commits <= known and self.index.is_refused(
                trace_id, tombstone.first, tombstone.last
            )

        with self._ending_at(trace_id, end, is_indexed):
            self.index.withdraw(trace_id, tombstone)

    def _purge(self, trace_id: str, upto: int) -> int:
        path = self._path(trace_id)
        known = self.index.trace(trace_id)
        withdrawals = self.index.withdrawals(trace_id)
        due = [one for one in withdrawals if not one.purged and one.commit <= upto]
        destroyed_bytes = purge.destroy_bodies(path, due)
        is_whole = known is not None and known[1] is ClipState.TOMBSTONED
        if known and is_whole and all(one.commit <= upto for one in withdrawals):
            gone = tuple(replace(one, purged=True) for one in withdrawals)
            self._ends[trace_id] = trace_file.create(
                path, known[0], Tombstone(withdrawals=gone).note()
            )
            self._unsealed.add(trace_id)
        self.index.mark_purged(one.commit for one in due)
        return destroyed_bytes


def _is_trace_of(path: Path, header: TraceHeader) -> bool:
    try:
        return trace_file.read_header(path) == header
    except ValueError:
        return False
