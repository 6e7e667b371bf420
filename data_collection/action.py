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
SUCCESSION_PERIODS = 6
SUCCESSION_PX = 8
"""Left presses within so many periods and pixels of the one before count together."""


@dataclass(frozen=True, slots=True)
class Press:
    """A left press: where, how many periods ago, and the how-manieth in quick succession."""

    x_px: int
    y_px: int
    periods_ago: int
    count: int

    def then(self, x_px: int, y_px: int) -> Press:
        """Return the press that follows this one now."""
        soon = self.periods_ago <= SUCCESSION_PERIODS
        near = max(abs(x_px - self.x_px), abs(y_px - self.y_px)) <= SUCCESSION_PX
        return Press(x_px, y_px, 0, self.count + 1 if soon and near else 1)


@dataclass(frozen=True, slots=True)
class Action:
    """What happened during one frame period.

    ``held`` are the buttons down at the end of the period, ``clicked`` those that
    went down within it (both in the order left, middle, right); ``keys`` are the
    SDL scancodes held at the end or pressed within it. ``clicks`` counts left presses in
    quick succession as window systems do: 2 in the period in which a double click falls,
    0 where nothing was pressed.
    """

    x_px: int = 0
    y_px: int = 0
    held: tuple[bool, bool, bool] = (False, False, False)
    clicked: tuple[bool, bool, bool] = (False, False, False)
    wheel_dy: int = 0
    keys: frozenset[int] = frozenset()
    keys_held: frozenset[int] = frozenset()
    clicks: int = 0
    last_press: Press | None = None


def fold(events: Iterable[Event], previous: Action) -> Action:
    """Fold one period's events, in order, onto the action of the period before."""
    x_px, y_px = previous.x_px, previous.y_px
    held = list(previous.held)
    clicked = [False, False, False]
    wheel_dy = 0
    keys_held = set(previous.keys_held)
    pressed: set[int] = set()
    clicks = 0
    press = previous.last_press
    if press is not None:
        press = replace(press, periods_ago=press.periods_ago + 1)
    for event in events:
        if isinstance(event, PointerMoved):
            x_px, y_px = event.x_px, event.y_px
        elif isinstance(event, ButtonChanged):
            x_px, y_px = event.x_px, event.y_px
            index = BUTTONS.index(event.button)
            held[index] = event.down
            clicked[index] |= event.down
            if event.down and event.button is Button.LEFT:
                press = press.then(x_px, y_px) if press else Press(x_px, y_px, 0, 1)
                clicks = press.count
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
        clicks=clicks,
        last_press=press,
    )
