"""What the index answers with, apart from the clips' rows, and its failure."""

from __future__ import annotations

from dataclasses import dataclass

from data_collection.trace import ClipState, TraceHeader


class IndexFailed(OSError):
    """The index could not be read or written: the disk is full, failing or the file damaged.

    Args:
        reason: what SQLite says.
        is_damage: whether the file itself is at fault, not the disk or the moment.
    """

    def __init__(self, reason: str, *, is_damage: bool = False) -> None:
        super().__init__(f"the store's index failed: {reason}")
        self.is_damage = is_damage
        self.code = "index_failed"
        self.hint = "look at the disk; nothing that was acknowledged is lost"


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """What the index knows of one trace: its clips that stand, and how many are withdrawn."""

    header: TraceHeader
    state: ClipState
    clips: int
    frames: int
    size_bytes: int
    withdrawn: int


@dataclass(frozen=True, slots=True)
class SourceCount:
    """How many clips of a source stand in a state."""

    source: str
    state: ClipState
    clips: int


@dataclass(frozen=True, slots=True)
class QuarantinedClip:
    """A clip that was refused and kept, with the reason."""

    trace_id: str
    seq: int
    body_sha: str
    code: str
    hint: str
    at_wall_s: float
