"""What ingest answers: each outcome a value of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from data_collection.trace import ClipRow, TraceHeader


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
    """The trace, or this clip of it, was withdrawn and is not taken any more."""

    trace_id: str


@dataclass(frozen=True, slots=True)
class WithdrawnNow:
    """The clips of a trace that are withdrawn, by this request or an earlier one."""

    trace_id: str
    clips: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BadRequest:
    """The header, the trace id or the clip's number is none."""

    hint: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The server could not do its part, and nothing is promised: send it again.

    ``code`` is ``storage_failed`` or ``decoder_failed``.
    """

    code: str
    hint: str


OpenOutcome = Union[Opened, Conflict, Withdrawn, BadRequest, Unavailable]
PutOutcome = Union[
    Accepted,
    Duplicate,
    Conflict,
    Quarantined,
    HashMismatch,
    UnknownTrace,
    Withdrawn,
    BadRequest,
    Unavailable,
]
WithdrawOutcome = Union[WithdrawnNow, UnknownTrace, BadRequest, Unavailable]
