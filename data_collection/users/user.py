"""What every scripted user offers: events for the next tick, from what the desktop shows."""

from __future__ import annotations

from typing import Any, Protocol

from data_collection.events import Event


class User(Protocol):
    """A scripted user; all its randomness comes from the seed of ``reset``."""

    name: str

    @property
    def goal(self) -> str:
        """What the user is trying to do now, in a few words."""
        ...

    def reset(self, seed: int, width_px: int, height_px: int) -> None:
        """Start afresh before a screen of that size."""
        ...

    def act(self, state: dict[str, Any]) -> list[Event]:
        """Return the next tick's events, their times and numbers left 0.

        Args:
            state: the desktop's ``state()`` after the tick before.
        """
        ...

    def reached(self, state: dict[str, Any]) -> bool:
        """Say whether ``goal`` is reached in this state."""
        ...
