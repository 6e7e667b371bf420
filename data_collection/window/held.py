"""Keys and buttons that are down, so that every press gets its release exactly once."""

from __future__ import annotations

from data_collection.events import Button, ButtonChanged, Event, KeyChanged
from data_collection.window.viewport import Point


class Held:
    """What is held down on the desktop.

    A second press of a held key (auto-repeat) and a release of what was never pressed
    here are not events: ``press`` and ``release`` say so.
    """

    def __init__(self) -> None:
        self._keys: dict[int, str] = {}
        self._buttons: list[Button] = []

    @property
    def dragging(self) -> bool:
        """Whether a pointer button is down."""
        return bool(self._buttons)

    def press_key(self, scancode: int, keysym: str) -> bool:
        """Note a key as down; return whether it was up."""
        fresh = scancode not in self._keys
        self._keys[scancode] = keysym
        return fresh

    def release_key(self, scancode: int) -> str | None:
        """Note a key as up; return the symbol it was pressed as, or None if it was up."""
        return self._keys.pop(scancode, None)

    def press_button(self, button: Button) -> bool:
        """Note a button as down; return whether it was up."""
        if button in self._buttons:
            return False
        self._buttons.append(button)
        return True

    def release_button(self, button: Button) -> bool:
        """Note a button as up; return whether it was down."""
        if button not in self._buttons:
            return False
        self._buttons.remove(button)
        return True

    def let_go(self, pointer: Point, now_ns: int) -> list[Event]:
        """Release everything; return the releases, last pressed first."""
        x_px, y_px = pointer
        events: list[Event] = [
            ButtonChanged(button, False, x_px, y_px, now_ns) for button in reversed(self._buttons)
        ]
        events += [
            KeyChanged(scancode, keysym, False, now_ns)
            for scancode, keysym in reversed(self._keys.items())
        ]
        self._buttons.clear()
        self._keys.clear()
        return events
