"""A key that goes on acting while it is held."""

from __future__ import annotations

from data_collection.desktops.scripted.scancodes import REPEATING

_DELAY_TICKS = 7
_EVERY_TICKS = 2


class HeldKey:
    """Remembers the last such key that went down and says when it acts again."""

    def __init__(self) -> None:
        """Start with no key held."""
        self._scancode: int | None = None
        self._ticks = 0

    @property
    def held(self) -> bool:
        """Whether a key that goes on acting is held."""
        return self._scancode is not None

    def change(self, scancode: int, down: bool) -> None:
        """Take note of a key that went down or up."""
        if down:
            self._scancode = scancode if scancode in REPEATING else None
            self._ticks = 0
        elif scancode == self._scancode:
            self._scancode = None

    def advance(self) -> int | None:
        """Let one tick pass and return the key that acts again now."""
        if self._scancode is None:
            return None
        self._ticks += 1
        late = self._ticks - _DELAY_TICKS
        return self._scancode if late >= 0 and late % _EVERY_TICKS == 0 else None
