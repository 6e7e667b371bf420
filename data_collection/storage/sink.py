"""Where a recorder hands its clips: a spool, a store, or a test's list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from data_collection.trace import Clip, TraceHeader


class SinkError(OSError):
    """A sink could not keep a clip; recording must stop visibly.

    Args:
        code: short stable name of the cause, such as ``disk_full``.
        hint: what a person can do about it.
        unkept: how many clips could not be kept, those taken earlier included.
    """

    def __init__(self, code: str, hint: str, unkept: int = 1) -> None:
        super().__init__(f"{code}: {hint}")
        self.code = code
        self.hint = hint
        self.unkept = unkept


@dataclass(frozen=True, slots=True)
class Cut:
    """What became of clips that were withdrawn, in numbers of clips.

    ``unsent`` ones were on this machine alone and are gone. ``sent`` ones may be with a
    server, which is told to destroy them, as soon as it can be reached.
    """

    unsent: int = 0
    sent: int = 0

    def __add__(self, other: Cut) -> Cut:
        """Return the numbers of both together."""
        return Cut(self.unsent + other.unsent, self.sent + other.sent)


class ClipSink(Protocol):
    """Takes the traces of a recorder, clip by clip, in order.

    A sink never drops a clip silently: it keeps it, waits, or raises. It holds no clip in
    memory longer than writing it takes; whatever delays clips delays them on the disk.
    """

    def open(self, header: TraceHeader) -> None:
        """Announce a trace before its first clip.

        Raises:
            SinkError: the trace could not be opened.
        """
        ...

    def put(self, header: TraceHeader, clip: Clip) -> None:
        """Take the next clip of an announced trace.

        Raises:
            SinkError: this clip, or one taken earlier, could not be kept.
        """
        ...

    def withdraw(self, header: TraceHeader, first_seq: int, last_seq: int) -> Cut:
        """Destroy clips ``first_seq`` to ``last_seq`` of a trace, wherever they are by now.

        It is durable when this returns, though a server may still have to be told.

        Raises:
            SinkError: it could not be made durable, or an earlier clip could not be kept.
        """
        ...

    def close(self) -> None:
        """Return once every clip taken is where the sink promises it to be.

        Raises:
            SinkError: a clip taken earlier could not be kept.
        """
        ...
