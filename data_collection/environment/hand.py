"""What an agent asks of pointer and keyboard, as the events that bring it about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from data_collection.action import BUTTONS
from data_collection.events import (
    ButtonChanged,
    Event,
    KeyChanged,
    PointerMoved,
    TextTyped,
    WheelTurned,
)
from data_collection.users.keyboard import key_of

_CHARACTERS = "abcdefghijklmnopqrstuvwxyz1234567890-=[]\\;'`,./ "
_NAMED = {
    40: "Return",
    41: "Escape",
    42: "BackSpace",
    43: "Tab",
    **{57 + number: f"F{number}" for number in range(1, 13)},
    73: "Insert",
    74: "Home",
    75: "Prior",
    76: "Delete",
    77: "End",
    78: "Next",
    79: "Right",
    80: "Left",
    81: "Down",
    82: "Up",
    224: "Control_L",
    225: "Shift_L",
    226: "Alt_L",
    227: "Super_L",
}
_PLAIN = {key_of(character)[0].scancode: character for character in _CHARACTERS}
_SHIFTED = {
    key.scancode: character
    for character, (key, shifted) in ((chr(code), key_of(chr(code))) for code in range(33, 127))
    if shifted
}
_SHIFT = 225
_SILENCING = frozenset({224, 226, 227})
"""A key pressed while Control, Alt or Super is down types nothing."""

SYMBOLS: dict[int, str] = {
    **{code: key_of(character)[0].keysym for code, character in _PLAIN.items()},
    **_NAMED,
}
KEYS: tuple[int, ...] = tuple(sorted(SYMBOLS))
"""The keys of the action space, by SDL scancode: element i of ``keys`` is ``KEYS[i]``."""


class HandAction(TypedDict):
    """One element of the action space."""

    pointer: npt.NDArray[np.float32]
    buttons: npt.NDArray[np.int8]
    wheel: np.int64
    keys: npt.NDArray[np.int8]


class AgentHand:
    """Remembers what is held, so that asking for the same twice is no event.

    Args:
        width_px: of the screen.
        height_px: of the screen.
    """

    def __init__(self, width_px: int, height_px: int) -> None:
        self._size = (width_px, height_px)
        self._point: tuple[int, int] | None = None
        self._buttons = [False] * len(BUTTONS)
        self._keys: set[int] = set()

    def events(self, action: Mapping[str, Any]) -> list[Event]:
        """Return what leads from the last action to this one: move, keys, buttons, wheel.

        Args:
            action: ``pointer`` (2,) in 0..1 over the screen; ``buttons`` (3,) and ``keys``
                (len(KEYS),) what is down at the end; ``wheel`` -1, 0 or 1 notches up.
        """
        share = np.clip(np.asarray(action["pointer"], np.float64), 0.0, 1.0)
        x_px, y_px = (
            round(float(part) * (size - 1)) for part, size in zip(share, self._size, strict=True)
        )
        events: list[Event] = []
        if (x_px, y_px) != self._point:
            self._point = (x_px, y_px)
            events.append(PointerMoved(x_px, y_px))
        events += self._change_keys(np.asarray(action["keys"]).astype(bool))
        for index, button in enumerate(BUTTONS):
            down = bool(action["buttons"][index])
            if down != self._buttons[index]:
                self._buttons[index] = down
                events.append(ButtonChanged(button, down, x_px, y_px))
        wheel = int(action["wheel"])
        if wheel:
            events.append(WheelTurned(0, wheel))
        return events

    def _change_keys(self, wanted: npt.NDArray[np.bool_]) -> list[Event]:
        """Return the releases, then the presses, modifiers first, each with its text."""
        down = {KEYS[index] for index in np.flatnonzero(wanted)}
        events: list[Event] = [
            KeyChanged(scancode, SYMBOLS[scancode], False) for scancode in sorted(self._keys - down)
        ]
        self._keys &= down
        for scancode in sorted(down - self._keys, reverse=True):
            self._keys.add(scancode)
            events.append(KeyChanged(scancode, SYMBOLS[scancode], True))
            text = self._text(scancode)
            if text:
                events.append(TextTyped(text))
        return events

    def _text(self, scancode: int) -> str:
        if self._keys & _SILENCING:
            return ""
        shifted = _SHIFT in self._keys
        return (_SHIFTED if shifted and scancode in _SHIFTED else _PLAIN).get(scancode, "")
