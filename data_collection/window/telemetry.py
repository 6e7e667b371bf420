"""What the window says about the rest of the loop."""

from __future__ import annotations

from typing import Protocol


class Telemetry(Protocol):
    """Answers from memory: it is asked once a frame, in the window's own thread."""

    def unacknowledged(self) -> int:
        """Return how many recorded clips have not been acknowledged yet."""
        ...

    def disk_left_bytes(self) -> int | None:
        """Return the room left for recordings, None where it is not known."""
        ...

    def training(self) -> str:
        """Return a few words on the training, such as ``step 240``; empty without one."""
        ...


class NoTelemetry:
    """Nothing is known of the rest of the loop."""

    def unacknowledged(self) -> int:
        """Return 0."""
        return 0

    def disk_left_bytes(self) -> int | None:
        """Return None."""
        return None

    def training(self) -> str:
        """Return nothing."""
        return ""
