"""The schedule of a fixed-rate loop: when each frame is due, and how late it came."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Beat:
    """One tick: when its frame was due, whether it came late, and time given up before it."""

    due_ns: int
    late: bool
    lost_ns: int


class Pace:
    """Due times at a fixed rate.

    A late tick does not move the later ones: the loop catches up, one ``step`` a tick.
    Only when it is more than ``patience_periods`` behind are the due times moved to the
    present, and the time given up is reported as lost.
    """

    def __init__(self, fps: int, patience_periods: int = 4) -> None:
        self.period_ns = NS_PER_S // fps
        self._patience_ns = patience_periods * self.period_ns
        self.due_ns = 0

    def start(self, now_ns: int) -> None:
        """Make the first frame due one period from now."""
        self.due_ns = now_ns + self.period_ns

    def beat(self, now_ns: int) -> Beat:
        """Return the tick that begins now, at or after ``due_ns``, and schedule the next."""
        behind_ns = now_ns - self.due_ns
        late = behind_ns > self.period_ns // 2
        lost_ns = behind_ns if behind_ns > self._patience_ns else 0
        due_ns = self.due_ns + lost_ns
        self.due_ns = due_ns + self.period_ns
        return Beat(due_ns, late, lost_ns)


class Rate:
    """Frames a second, over the newest frames shown."""

    def __init__(self, frames: int = 30) -> None:
        self._shown_ns: deque[int] = deque(maxlen=frames)

    def note(self, now_ns: int) -> None:
        """Note that a frame was shown."""
        self._shown_ns.append(now_ns)

    @property
    def fps(self) -> float:
        """Frames a second; 0 before the second frame."""
        if len(self._shown_ns) < 2:
            return 0.0
        return (len(self._shown_ns) - 1) * NS_PER_S / (self._shown_ns[-1] - self._shown_ns[0])
