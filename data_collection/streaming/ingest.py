"""What the server does with a trace and its clips: check, make durable, then answer."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from typing import Any, Union

from data_collection.clock import Clock
from data_collection.storage import trace_file
from data_collection.storage.codec import body_sha
from data_collection.storage.index import QuarantinedClip
from data_collection.storage.store import TraceOpening, TraceStore
from data_collection.streaming.clip_checks import Fault, check_neighbours
from data_collection.streaming.decode_pool import DecoderFailed
from data_collection.streaming.examine import Examined, examine
from data_collection.streaming.outcomes import (
    Accepted,
    BadRequest,
    Conflict,
    Duplicate,
    HashMismatch,
    Opened,
    OpenOutcome,
    PutOutcome,
    Quarantined,
    Unavailable,
    UnknownTrace,
    Withdrawn,
    WithdrawnNow,
    WithdrawOutcome,
)
from data_collection.streaming.presses import Held
from data_collection.streaming.trace_request import parse_header
from data_collection.trace import ClipRow, ClipState, TraceHeader

MAX_SEQ = 100_000
"""The highest clip number: more than a day of one-second clips."""
MAX_BODY_BYTES = 32 * 2**20
_LOCKS = 64

Examine = Callable[[TraceHeader, int, bytes], Union[Examined, Fault]]
"""Decodes and checks a clip by itself: in this process, or in a worker."""


class IngestService:
    """Takes traces into a store; safe to call from several threads.

    Args:
        store: the open store.
        clock: stamps the acknowledgement, for reports only.
        examine: a ``DecodePool``'s where strangers send; in this process if not given.
    """

    def __init__(self, store: TraceStore, clock: Clock, examine: Examine = examine) -> None:
        self.store = store
        self._clock = clock
        self._examine = examine
        self._held = Held()
        # Two neighbours that arrive at once must each see the other.
        self._trace_locks = tuple(threading.Lock() for _ in range(_LOCKS))

    def open_trace(self, trace_id: str, header_json: Any) -> OpenOutcome:
        """Open a trace under its header; again with the same header changes nothing."""
        if not trace_file.valid_trace_id(trace_id):
            return BadRequest("a trace id is [a-z0-9][a-z0-9-]{0,63}")
        try:
            header = parse_header(header_json)
        except ValueError as error:
            return BadRequest(str(error))
        if header.trace_id != trace_id:
            return BadRequest("the header names another trace")
        try:
            opening = self.store.open_trace(header)
        except OSError as error:
            return unavailable(error)
        if opening is TraceOpening.DIFFERENT:
            return Conflict("this trace id belongs to a trace with another header")
        if opening is TraceOpening.WITHDRAWN:
            return Withdrawn(trace_id)
        return Opened(header, new=opening is TraceOpening.NEW)

    def put_clip(self, trace_id: str, seq: int, body: bytes, sha: str) -> PutOutcome:
        """Store a clip; once this returns ``Accepted`` it outlives a crash.

        Args:
            trace_id: an opened trace.
            seq: the clip's number in it.
            body: what ``encode_clip`` returned.
            sha: SHA-256 of the body, as the sender computed it.
        """
        if not trace_file.valid_trace_id(trace_id) or not 0 <= seq <= MAX_SEQ:
            return BadRequest(f"{trace_id!r}, {seq} is no clip's place"[:200])
        received_sha = body_sha(body)
        if received_sha != sha.lower():
            return HashMismatch(received_sha)
        try:
            return self._put(trace_id, seq, body, received_sha)
        except OSError as error:
            return unavailable(error)

    def withdraw(
        self, trace_id: str, first: int | None = None, last: int | None = None
    ) -> WithdrawOutcome:
        """Withdraw a trace, or its clips ``first`` to ``last``; again changes nothing.

        Once this returns ``WithdrawnNow`` it outlives a crash, and clips of the interval
        that arrive later are refused.
        """
        if not trace_file.valid_trace_id(trace_id):
            return UnknownTrace(trace_id)
        ends = [end for end in (first, last) if end is not None]
        if min(ends, default=0) < 0 or ends != sorted(ends):
            return BadRequest(f"{first} to {last} are no clips of a trace")
        try:
            rows = self.store.withdraw(trace_id, first, last)
        except OSError as error:
            return unavailable(error)
        if rows is None:
            return UnknownTrace(trace_id)
        return WithdrawnNow(trace_id, tuple(row.seq for row in rows))

    def _put(self, trace_id: str, seq: int, body: bytes, sha: str) -> PutOutcome:
        index = self.store.index
        if index.trace(trace_id) is None:
            return UnknownTrace(trace_id)
        header = self.store.header(trace_id)
        if header is None:
            return Withdrawn(trace_id)
        if self.store.is_withdrawn(trace_id, seq):
            return Withdrawn(trace_id)
        # First, so that the answer stays the same when another clip takes the place.
        refused = index.quarantined_as(trace_id, seq, sha)
        if refused:
            return Quarantined(refused.code, refused.hint)
        taken = index.clip(trace_id, seq)
        if taken:
            return _taken(taken, sha)
        examined = self._examine(header, seq, body)
        if isinstance(examined, Fault):
            return self._quarantine(trace_id, seq, body, sha, examined)
        return self._store(header, seq, body, examined)

    def _store(self, header: TraceHeader, seq: int, body: bytes, examined: Examined) -> PutOutcome:
        encoded = examined.encoded(seq, body)
        index = self.store.index
        with self._trace_locks[zlib.crc32(header.trace_id.encode()) % _LOCKS]:
            taken = index.clip(header.trace_id, seq)
            if taken:
                return _taken(taken, encoded.body_sha)
            before = index.clip(header.trace_id, seq - 1)
            after = index.clip(header.trace_id, seq + 1)
            unfit = check_neighbours(encoded, header, before, after)
            if unfit:
                return self._quarantine(header.trace_id, seq, body, encoded.body_sha, unfit)
            try:
                stored = self.store.append(header, encoded, self._clock.wall_s())
            except KeyError:
                return Withdrawn(header.trace_id)
            if not stored.new:
                return _taken(stored.row, encoded.body_sha)
            return Accepted(stored.row, self._held.warnings(header.trace_id, seq, examined.presses))

    def _quarantine(
        self, trace_id: str, seq: int, body: bytes, sha: str, fault: Fault
    ) -> Union[Quarantined, Withdrawn]:
        clip = QuarantinedClip(trace_id, seq, sha, fault.code, fault.hint, self._clock.wall_s())
        self.store.quarantine(clip, body)
        # A withdrawal may have come while the clip was looked at; then nothing of it is kept.
        if self.store.is_withdrawn(trace_id, seq):
            return Withdrawn(trace_id)
        return Quarantined(fault.code, fault.hint)


def unavailable(error: Exception) -> Unavailable:
    """Return the answer to a fault of this machine."""
    code = "decoder_failed" if isinstance(error, DecoderFailed) else "storage_failed"
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Unavailable(code, f"{type(error).__name__}: {why}"[:200])


def _taken(row: ClipRow, sha: str) -> Union[Duplicate, Conflict, Withdrawn]:
    if row.state is ClipState.TOMBSTONED:
        return Withdrawn(row.trace_id)
    if row.body_sha == sha:
        return Duplicate(row)
    return Conflict(f"clip {row.trace_id}/{row.seq} is stored with other bytes")
