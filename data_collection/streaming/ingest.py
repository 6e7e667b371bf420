"""What the server does with a trace and its clips: check, make durable, then answer."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Union

from data_collection.clock import Clock
from data_collection.storage import trace_file
from data_collection.storage.codec import ClipCorrupt, ClipLimits, body_sha, decode_clip
from data_collection.storage.index import QuarantinedClip
from data_collection.storage.store import EncodedClip, TraceOpening, TraceStore
from data_collection.streaming.clip_checks import Fault, check_clip, check_neighbours, unbalanced
from data_collection.streaming.trace_request import parse_header
from data_collection.trace import Clip, ClipRow, TraceHeader

MAX_SEQ = 100_000
"""The highest clip number: more than a day of one-second clips."""
MAX_BODY_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Opened:
    """The trace is ready for clips; not ``new`` if it was before."""

    header: TraceHeader
    new: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """The clip is durable; ``warnings`` name what is odd about it."""

    row: ClipRow
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Duplicate:
    """These very bytes were accepted before."""

    row: ClipRow


@dataclass(frozen=True, slots=True)
class Conflict:
    """The place, or the trace id, belongs to something else."""

    hint: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """The clip is unfit and kept apart; sending it again changes nothing."""

    code: str
    hint: str


@dataclass(frozen=True, slots=True)
class HashMismatch:
    """The bytes are not those that were announced: send them again."""

    received_sha: str


@dataclass(frozen=True, slots=True)
class UnknownTrace:
    """The trace must be opened first."""

    trace_id: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The trace was withdrawn and takes nothing any more."""

    trace_id: str


@dataclass(frozen=True, slots=True)
class BadRequest:
    """The header, the trace id or the clip's number is none."""

    hint: str


OpenOutcome = Union[Opened, Conflict, Withdrawn, BadRequest]
PutOutcome = Union[
    Accepted, Duplicate, Conflict, Quarantined, HashMismatch, UnknownTrace, Withdrawn, BadRequest
]


class IngestService:
    """Takes traces into a store; safe to call from several threads.

    Args:
        store: the open store.
        clock: stamps the acknowledgement, for reports only.
    """

    def __init__(self, store: TraceStore, clock: Clock) -> None:
        self.store = store
        self._clock = clock
        # Two neighbours that arrive at once must each see the other.
        self._neighbours = threading.Lock()

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
        opening = self.store.open_trace(header)
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
        known = self.store.index.trace(trace_id)
        if known is None:
            return UnknownTrace(trace_id)
        header = self.store.header(trace_id)
        if header is None:
            return Withdrawn(trace_id)
        if self.store.is_withdrawn(trace_id, seq):
            return Withdrawn(trace_id)
        taken = self.store.index.clip(trace_id, seq)
        if taken:
            return _taken(taken, received_sha)
        try:
            clip = decode_clip(body, ClipLimits.of_header(header))
        except ClipCorrupt as error:
            return self._quarantine(trace_id, seq, body, Fault(error.code, error.hint))
        if (clip.trace_id, clip.seq) != (trace_id, seq):
            fault = Fault("place", f"the body is {clip.trace_id!r}/{clip.seq}"[:200])
            return self._quarantine(trace_id, seq, body, fault)
        unfit = check_clip(clip, header)
        if unfit:
            return self._quarantine(trace_id, seq, body, unfit)
        return self._store(header, clip, body)

    def withdraw(self, trace_id: str) -> bool:
        """Tombstone a trace; False if there is none of that id."""
        return self.store.withdraw(trace_id) is not None

    def _store(self, header: TraceHeader, clip: Clip, body: bytes) -> PutOutcome:
        encoded = EncodedClip.of(clip, body)
        index = self.store.index
        with self._neighbours:
            before = index.clip(header.trace_id, clip.seq - 1)
            after = index.clip(header.trace_id, clip.seq + 1)
            unfit = check_neighbours(clip, header, before, after)
            if unfit:
                return self._quarantine(header.trace_id, clip.seq, body, unfit)
            try:
                stored = self.store.append(header, encoded, self._clock.wall_s())
            except KeyError:
                return Withdrawn(header.trace_id)
        if not stored.new:
            return _taken(stored.row, encoded.body_sha)
        return Accepted(stored.row, tuple(f"up twice: {name}" for name in unbalanced(clip)))

    def _quarantine(self, trace_id: str, seq: int, body: bytes, fault: Fault) -> Quarantined:
        clip = QuarantinedClip(
            trace_id, seq, body_sha(body), fault.code, fault.hint, self._clock.wall_s()
        )
        self.store.quarantine(clip, body)
        return Quarantined(fault.code, fault.hint)


def _taken(row: ClipRow, sha: str) -> Union[Duplicate, Conflict]:
    if row.body_sha == sha:
        return Duplicate(row)
    return Conflict(f"clip {row.trace_id}/{row.seq} is stored with other bytes")
