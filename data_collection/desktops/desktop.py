"""What every desktop offers: it takes events and gives frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from data_collection.action import Action
from data_collection.events import Event
from data_collection.trace import Frame


class Desktop(Protocol):
    """A desktop: scripted, real, or the simulator itself.

    Its only clock is its tick: one ``step`` is one frame period. A returned frame is
    never written to afterwards by the desktop.
    """

    name: str
    width_px: int
    height_px: int

    @property
    def label(self) -> str:
        """A line for the HUD, such as ``simulator: step 240, still learning``."""
        ...

    def reset(self, seed: int) -> Frame:
        """Start afresh and return the first frame."""
        ...

    def step(self, events: Sequence[Event]) -> Frame:
        """Take one period's events in order, advance one tick, return the frame."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the readable state as a JSON object; empty where there is none."""
        ...

    def close(self) -> None:
        """Release what the desktop holds."""
        ...


@runtime_checkable
class WarmStart(Protocol):
    """A desktop that continues from frames of another one (the simulator does)."""

    def warm_start(self, frames: Sequence[Frame], actions: Sequence[Action]) -> None:
        """Take the last frames of the real desktop and the actions that led to each."""
        ...
