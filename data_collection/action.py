"""The events of one frame period folded into one action, the simulator's input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    PointerMoved,
    WheelTurned,
)

BUTTONS = (Button.LEFT, Button.MIDDLE, Button.RIGHT)


@dataclass(frozen=True, slots=True)
class Action:
    """What happened during one frame period.

    ``held`` are the buttons down at the end of the period, ``clicked`` those that
    went down within it (both in the order left, middle, right); ``keys`` are the
    SDL scancodes held at the end or pressed within it.
    """

    x_px: int = 0
    y_px: int = 0
    held: tuple[bool, bool, bool] = (False, False, False)
    clicked: tuple[bool, bool, bool] = (False, False, False)
    wheel_dy: int = 0
    keys: frozenset[int] = frozenset()
    keys_held: frozenset[int] = frozenset()


def fold(events: Iterable[Event], previous: Action) -> Action:
    """Fold one period's events, in order, onto the action of the period before."""
    x_px, y_px = previous.x_px, previous.y_px
    held = list(previous.held)
    clicked = [False, False, False]
    wheel_dy = 0
    keys_held = set(previous.keys_held)
    pressed: set[int] = set()
    for event in events:
        if isinstance(event, PointerMoved):
            x_px, y_px = event.x_px, event.y_px
        elif isinstance(event, ButtonChanged):
            x_px, y_px = event.x_px, event.y_px
            index = BUTTONS.index(event.button)
            held[index] = event.down
            clicked[index] |= event.down
        elif isinstance(event, WheelTurned):
            wheel_dy += event.dy
        elif isinstance(event, KeyChanged):
            if event.down:
                keys_held.add(event.scancode)
                pressed.add(event.scancode)
            else:
                keys_held.discard(event.scancode)
    return replace(
        previous,
        x_px=x_px,
        y_px=y_px,
        held=(held[0], held[1], held[2]),
        clicked=(clicked[0], clicked[1], clicked[2]),
        wheel_dy=wheel_dy,
        keys=frozenset(keys_held | pressed),
        keys_held=frozenset(keys_held),
    )
