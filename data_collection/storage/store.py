"""A folder of traces: one file each, an index over all, one process that writes.

A clip is durable in its file before its row is committed, and the row before it is
returned; so a row always has its bytes. Bytes without a row, left by a crash between
the two, get theirs when the store is opened again.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from data_collection.storage import trace_file
from data_collection.storage.codec import (
    DEFAULT_LIMITS,
    ClipCorrupt,
    ClipLimits,
    body_sha,
    content_sha,
    decode_clip,
    sampling_weight,
)
from data_collection.storage.durable import write_atomic
from data_collection.storage.index import Index, QuarantinedClip
from data_collection.storage.lock import StoreLock
from data_collection.trace import Clip, ClipRow, ClipState, TraceHeader

INDEX_FILE = "index.db"
LOCK_FILE = "store.lock"
QUARANTINE_FOLDER = "quarantine"


class TraceOpening(str, Enum):
    """What came of opening a trace."""

    NEW = "new"
    KNOWN = "known"
    DIFFERENT = "different"
    """The id belongs to a trace with another header."""
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """A clip's body and all that storing it needs to know of its content; no frames.

    ``frames`` is how many there are, from the trace's frame ``first_frame`` on, due from
    ``first_ns`` to ``last_ns`` (monotonic).
    """

    seq: int
    first_frame: int
    frames: int
    first_ns: int
    last_ns: int
    body: bytes
    body_sha: str
    content_sha: str
    weight: int

    @classmethod
    def of(cls, clip: Clip, body: bytes) -> EncodedClip:
        """Compute hashes and weight of a clip and its body."""
        return cls(
            seq=clip.seq,
            first_frame=clip.first_frame,
            frames=len(clip.frames),
            first_ns=clip.t_mono_ns[0],
            last_ns=clip.t_mono_ns[-1],
            body=body,
            body_sha=body_sha(body),
            content_sha=content_sha(clip),
            weight=sampling_weight(clip.frames),
        )


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
    """The store's only writer; safe to use from several threads."""

    def __init__(self, root: Path, lock: StoreLock, index: Index) -> None:
        self.root = root
        self.index = index
        self._lock = lock
        self._append = threading.Lock()
        self._ends: dict[str, int] = {}
        self._unsealed: set[str] = set()

    @classmethod
    def open(cls, root: Path) -> TraceStore:
        """Open or create the store of a folder and finish what a crash left undone.

        Raises:
            StoreLocked: another process holds it.
            ValueError: a file of the folder is no trace.
        """
        root.mkdir(parents=True, exist_ok=True)
        lock = StoreLock.acquire(root / LOCK_FILE)
        try:
            store = cls(root, lock, Index.open(root / INDEX_FILE))
            for path in sorted(root.glob("*" + trace_file.SUFFIX)):
                store._recover(path)
        except BaseException:
            lock.release()
            raise
        return store

    def open_trace(self, header: TraceHeader) -> TraceOpening:
        """Make a trace ready for its clips; opening it again changes nothing.

        Raises:
            ValueError: the trace id may not name a file.
        """
        path = self.root / trace_file.file_name(header.trace_id)
        with self._append:
            known = self.index.trace(header.trace_id)
            if known is None:
                self._move_end(header.trace_id, trace_file.create(path, header))
                self.index.add_trace(header)
                return TraceOpening.NEW
        if known[1] is ClipState.TOMBSTONED:
            return TraceOpening.WITHDRAWN
        return TraceOpening.KNOWN if known[0] == header else TraceOpening.DIFFERENT

    def header(self, trace_id: str) -> TraceHeader | None:
        """Return the header of a trace that is stored and not withdrawn."""
        known = self.index.trace(trace_id)
        return known[0] if known and known[1] is ClipState.COMMITTED else None

    def append(self, header: TraceHeader, encoded: EncodedClip, now_wall_s: float) -> Stored:
        """Store a clip of an opened trace, durably, unless its place is taken.

        Raises:
            KeyError: the trace was never opened, or is withdrawn.
        """
        path = self.root / trace_file.file_name(header.trace_id)
        with self._append:
            taken = self.index.clip(header.trace_id, encoded.seq)
            if taken:
                return Stored(taken, new=False)
            if self.header(header.trace_id) is None:
                raise KeyError(header.trace_id)
            record = trace_file.append_body(
                path, self._ends[header.trace_id], encoded.seq, encoded.last_ns, encoded.body
            )
            self._move_end(header.trace_id, record.end)
            row = _row(header, encoded, record.offset, now_wall_s)
            return Stored(self.index.commit(row), new=True)

    def tombstone(self, trace_id: str) -> bool:
        """Withdraw a trace; False if there is none of that id."""
        with self._append:
            if self.index.trace(trace_id) is None:
                return False
            path = self.root / trace_file.file_name(trace_id)
            # In the file as well, so that an index rebuilt from files knows of it.
            at = self._ends[trace_id]
            self._move_end(
                trace_id, trace_file.append_note(path, at, trace_file.TOMBSTONE_RECORD, {})
            )
            self.index.tombstone(trace_id)
            return True

    def quarantine(self, clip: QuarantinedClip, body: bytes) -> None:
        """Keep a refused body and its reason apart from the traces.

        Raises:
            ValueError: the trace id may not name a file.
        """
        folder = self.root / QUARANTINE_FOLDER
        folder.mkdir(exist_ok=True)
        stem = trace_file.file_name(clip.trace_id).removesuffix(trace_file.SUFFIX)
        stem = f"{stem}.{clip.seq}.{body_sha(body)[:16]}"
        write_atomic(folder / f"{stem}.clip", body)
        write_atomic(folder / f"{stem}.reason.txt", f"{clip.code}: {clip.hint}\n".encode())
        self.index.quarantine(clip)

    def verify(self) -> list[Problem]:
        """Read every committed clip back; return what is wrong."""
        problems: list[Problem] = []
        rows = self.index.rows_after(0, self.index.last_commit)
        for number, row in enumerate(rows, start=1):
            if row.commit != number:
                problems.append(
                    Problem(row.trace_id, row.seq, "commit_gap", f"{row.commit}, not {number}")
                )
            try:
                read_clip(self.root, row)
            except ClipCorrupt as error:
                problems.append(Problem(row.trace_id, row.seq, error.code, error.hint))
        return problems

    def close(self) -> None:
        """End the files written to, close the index, give the lock back."""
        with self._append:
            for trace_id in sorted(self._unsealed):
                path = self.root / trace_file.file_name(trace_id)
                trace_file.seal(path, self._ends[trace_id])
            self.index.close()
            self._lock.release()

    def _move_end(self, trace_id: str, end: int) -> None:
        self._ends[trace_id] = end
        self._unsealed.add(trace_id)

    def _recover(self, path: Path) -> None:
        """Commit the whole clips of a file that the index lacks; find where its data ends."""
        trace_id = path.name.removesuffix(trace_file.SUFFIX)
        known = self.index.trace(trace_id)
        header = known[0] if known else trace_file.read_header(path)
        if trace_file.file_name(header.trace_id) != path.name:
            raise ValueError(f"{path.name} holds the trace {header.trace_id}")
        if known is None:
            self.index.add_trace(header)
        end = self.index.end_of_last_body(trace_id)
        for record in trace_file.scan(path, end):
            if isinstance(record, trace_file.BodyRecord):
                if not self._adopt(path, header, record):
                    break
            elif record.name == trace_file.TOMBSTONE_RECORD:
                self.index.tombstone(trace_id)
            end = record.end
        self._ends[trace_id] = end
        if not trace_file.is_sealed(path, end):
            self._unsealed.add(trace_id)

    def _adopt(self, path: Path, header: TraceHeader, record: trace_file.BodyRecord) -> bool:
        """Commit a body that has no row; False if it is torn."""
        try:
            clip = decode_clip(record.body, ClipLimits.of_header(header))
        except ClipCorrupt:
            return False
        if self.index.clip(header.trace_id, clip.seq) is None:
            # A killed process may have left the bytes in memory, and a row promises the disk.
            trace_file.sync(path)
            # Nobody noted when it was acknowledged; the file was last written then.
            encoded = EncodedClip.of(clip, record.body)
            self.index.commit(_row(header, encoded, record.offset, path.stat().st_mtime))
        return True


def read_clip(root: Path, row: ClipRow, limits: ClipLimits = DEFAULT_LIMITS) -> Clip:
    """Read a clip that a row places; any process may, without the index.

    Args:
        root: the store's folder.
        row: a committed row of that store.
        limits: what to allocate at most.

    Raises:
        ClipCorrupt: the bytes are not there or not the ones the row speaks of.
    """
    if row.file != trace_file.file_name(row.trace_id):
        raise ClipCorrupt("file", f"{row.file!r} is not the file of {row.trace_id}")
    if row.length > limits.body_bytes:
        raise ClipCorrupt("length", f"{row.length} bytes")
    try:
        with open(root / row.file, "rb") as file:
            file.seek(row.offset)
            body = file.read(row.length)
    except OSError as error:
        raise ClipCorrupt("file", str(error)) from None
    if len(body) != row.length:
        raise ClipCorrupt("length", f"{len(body)} of {row.length} bytes")
    if body_sha(body) != row.body_sha:
        raise ClipCorrupt("body_sha", "these are not the bytes that were acknowledged")
    clip = decode_clip(body, limits)
    if (clip.trace_id, clip.seq) != (row.trace_id, row.seq):
        raise ClipCorrupt("place", f"the body is {clip.trace_id}/{clip.seq}")
    return clip


def _row(
    header: TraceHeader, encoded: EncodedClip, offset: int, acknowledged_wall_s: float
) -> ClipRow:
    return ClipRow(
        commit=0,
        trace_id=header.trace_id,
        seq=encoded.seq,
        source=header.source,
        file=trace_file.file_name(header.trace_id),
        offset=offset,
        length=len(encoded.body),
        body_sha=encoded.body_sha,
        content_sha=encoded.content_sha,
        first_frame=encoded.first_frame,
        frames=encoded.frames,
        # Generated frames are context, never targets.
        weight=encoded.weight if header.frame_source == "real" else 0,
        frame_source=header.frame_source,
        policy=header.policy,
        captured_wall_s=header.wall_s(encoded.last_ns),
        acknowledged_wall_s=acknowledged_wall_s,
    )
