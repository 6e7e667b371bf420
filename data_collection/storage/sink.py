"""Where a recorder hands its clips: a spool, a store, or a test's list."""

from __future__ import annotations

from typing import Protocol

from data_collection.trace import Clip, TraceHeader


class SinkError(OSError):
    """A sink could not keep a clip; recording must stop visibly.

    Args:
        code: short stable name of the cause, such as ``disk_full``.
        hint: what a person can do about it.
    """

    def __init__(self, code: str, hint: str) -> None:
        super().__init__(f"{code}: {hint}")
        self.code = code
        self.hint = hint


class ClipSink(Protocol):
    """Takes the traces of a recorder, clip by clip, in order.

    A sink never drops a clip silently: it keeps it, waits, or raises.
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

    def close(self) -> None:
        """Return once every clip taken is where the sink promises it to be.

        Raises:
            SinkError: a clip taken earlier could not be kept.
        """
        ...
