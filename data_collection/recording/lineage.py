"""Which trace the next one goes on from: what makes a simulator's session replayable."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Follows:
    """A trace's id and its number of frames; no id where there is none to follow."""

    trace_id: str = ""
    frames: int = 0


class Lineage:
    """Knows at the end of which trace the real desktop stands, as long as nothing is missing.

    Whoever begins on a simulator begins where the real desktop stands, and leaves it there.
    Replaying the traces from the last reset on brings a fresh desktop to the same place; a
    step, or an event, that no trace holds breaks that, and then no trace is named.
    """

    def __init__(self) -> None:
        self._left_at = Follows()
        self._open = ""
        self._simulated = False

    def begin(self, trace_id: str, frame_source: str, fresh: bool) -> Follows:
        """Note that a trace begins; return the one it follows.

        Args:
            trace_id: the new trace.
            frame_source: ``real`` or ``simulator``.
            fresh: whether the desktop on the screen has just been reset.
        """
        went_on = self._simulated
        self._simulated = frame_source == "simulator"
        self._open = "" if self._simulated else trace_id
        if fresh and not self._simulated:
            self._left_at = Follows()
        # A simulator that goes on after a break of its own is not where the real desktop is.
        alone = fresh or (went_on and self._simulated)
        return Follows() if alone else self._left_at

    def end(self, frames: int) -> None:
        """Note that the open trace ended after so many frames."""
        if self._open and frames:
            self._left_at = Follows(self._open, frames)
        self._open = ""

    def gap(self) -> None:
        """Note that the real desktop was, or may have been, used without a record of it."""
        self._left_at = Follows()
        self._open = ""
