"""Time as it is handed in: monotonic for everything recorded, wall clock for its anchor."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time and waits."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never run backwards."""
        ...

    def wall_s(self) -> float:
        """Return seconds since 1970, UTC."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Wait for so many seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def monotonic_ns(self) -> int:
        """Return the monotonic clock, in nanoseconds."""
        return time.monotonic_ns()

    def wall_s(self) -> float:
        """Return the wall clock, in seconds since 1970."""
        return time.time()

    def sleep(self, duration_s: float) -> None:
        """Wait for so many seconds."""
        time.sleep(duration_s)
