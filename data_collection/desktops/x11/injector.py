"""Events into the display server by XTEST: pointer, buttons, wheel, keys and text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data_collection.desktops.x11.scancodes import KEYCODES, MODIFIER_SCANCODES, SHIFT_SCANCODES
from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    PointerMoved,
    TextTyped,
    WheelTurned,
)

_BUTTONS = {Button.LEFT: 1, Button.MIDDLE: 2, Button.RIGHT: 3}
_WHEEL_UP, _WHEEL_DOWN, _WHEEL_LEFT, _WHEEL_RIGHT = 4, 5, 6, 7
_MOST_NOTCHES = 20
_RETURN_KEYCODE = 36
_TAB_KEYCODE = 23
_SHIFT_KEYCODE = 50
_REPEAT_AFTER_STEPS = 8
_UNICODE_KEYSYM = 0x01000000


class Injector:
    """Plays the events of each frame period into one display.

    Keys drive: a ``TextTyped`` is typed only where no key came with it (in this period or
    the one before) and no key that gives text is held. The keyboard is a US one. A key that
    is held repeats by periods, not by the server's clock, which a slow moment would upset.
    """

    def __init__(self, display: Any, width_px: int, height_px: int) -> None:
        """Store the open python-xlib display; ``prepare`` comes first."""
        self._display = display
        self._width_px = width_px
        self._height_px = height_px
        self.x_px = 0
        self.y_px = 0
        self.buttons_held: set[Button] = set()
        self._keys_held: list[int] = []
        self._held_steps = 0
        self._claims = [0, 0]
        self._keys_of: dict[str, tuple[int, bool]] = {}
        self._spare: list[int] = []

    def prepare(self) -> None:
        """Learn the keyboard's mapping and turn the server's own key repeat off."""
        from Xlib import X

        first = self._display.display.info.min_keycode
        count = self._display.display.info.max_keycode - first + 1
        for offset, keysyms in enumerate(self._display.get_keyboard_mapping(first, count)):
            keycode = first + offset
            if not any(keysyms):
                self._spare.append(keycode)
            for level in (0, 1):
                char = _char_of(keysyms[level] if level < len(keysyms) else 0)
                if char and char not in self._keys_of:
                    self._keys_of[char] = (keycode, level == 1)
        self._keys_of |= {"\n": (_RETURN_KEYCODE, False), "\t": (_TAB_KEYCODE, False)}
        self._display.change_keyboard_control(auto_repeat_mode=X.AutoRepeatModeOff)

    def play(self, events: Sequence[Event]) -> None:
        """Play one period's events in order and return once the server has taken them."""
        self._claims = [self._claims[1], 0]
        held = tuple(self._keys_held)
        for event in events:
            self._take(event)
        self._repeat(held)
        self._display.sync()

    def place(self, x_px: int, y_px: int) -> None:
        """Put the pointer somewhere on the screen."""
        from Xlib import X

        self.x_px = min(max(x_px, 0), self._width_px - 1)
        self.y_px = min(max(y_px, 0), self._height_px - 1)
        self._fake(X.MotionNotify, 0, self.x_px, self.y_px)

    def _take(self, event: Event) -> None:
        from Xlib import X

        if isinstance(event, PointerMoved):
            self.place(event.x_px, event.y_px)
        elif isinstance(event, ButtonChanged):
            self.place(event.x_px, event.y_px)
            held = event.button in self.buttons_held
            if held != event.down:
                self._fake(X.ButtonPress if event.down else X.ButtonRelease, _BUTTONS[event.button])
                self.buttons_held ^= {event.button}
        elif isinstance(event, WheelTurned):
            self._turn(_WHEEL_UP if event.dy > 0 else _WHEEL_DOWN, abs(event.dy))
            self._turn(_WHEEL_RIGHT if event.dx > 0 else _WHEEL_LEFT, abs(event.dx))
        elif isinstance(event, KeyChanged):
            self._key(event)
        elif isinstance(event, TextTyped):
            self._text(event.text)

    def _turn(self, button: int, notches: int) -> None:
        for _ in range(min(notches, _MOST_NOTCHES)):
            self._tap_button(button)

    def _tap_button(self, button: int) -> None:
        from Xlib import X

        self._fake(X.ButtonPress, button)
        self._fake(X.ButtonRelease, button)

    def _key(self, event: KeyChanged) -> None:
        """Press or release a key; what the server would count twice is left out."""
        from Xlib import X

        keycode = KEYCODES.get(event.scancode)
        if keycode is None or event.down == (event.scancode in self._keys_held):
            return
        if event.down:
            self._keys_held.append(event.scancode)
            self._held_steps = 0
            if self._gives_text(event.scancode):
                self._claims[1] += 1
        else:
            self._keys_held.remove(event.scancode)
        self._fake(X.KeyPress if event.down else X.KeyRelease, keycode)

    def _gives_text(self, scancode: int) -> bool:
        keycode = KEYCODES[scancode]
        return any(keycode == code for code, _ in self._keys_of.values())

    def _text(self, text: str) -> None:
        for char in text:
            for period in (0, 1):
                if self._claims[period]:
                    self._claims[period] -= 1
                    break
            else:
                if not any(self._gives_text(scancode) for scancode in self._keys_held):
                    self._type(char)

    def _type(self, char: str) -> None:
        """Type a character for which no key came."""
        keycode, shifted = self._keys_of.get(char) or self._lend(char)
        if not keycode:
            return
        shift_held = bool(SHIFT_SCANCODES & set(self._keys_held))
        if shifted and not shift_held:
            self._tap(_SHIFT_KEYCODE, keycode)
        else:
            self._tap(keycode)

    def _lend(self, char: str) -> tuple[int, bool]:
        """Give a spare key to a character that no key has; (0, False) when all are lent."""
        if not self._spare or not char.isprintable():
            return 0, False
        keycode = self._spare.pop()
        keysym = ord(char) if ord(char) < 0x100 else _UNICODE_KEYSYM | ord(char)
        self._display.change_keyboard_mapping(keycode, [[keysym, keysym]])
        self._keys_of[char] = keycode, False
        return keycode, False

    def _tap(self, *keycodes: int) -> None:
        """Press keys in order and release them in the opposite one."""
        from Xlib import X

        for keycode in keycodes:
            self._fake(X.KeyPress, keycode)
        for keycode in reversed(keycodes):
            self._fake(X.KeyRelease, keycode)

    def _repeat(self, held_before: tuple[int, ...]) -> None:
        """Repeat the last key that has been held for long; every period from then on."""
        from Xlib import X

        if not self._keys_held or tuple(self._keys_held) != held_before:
            self._held_steps = 0
            return
        self._held_steps += 1
        last = self._keys_held[-1]
        if self._held_steps >= _REPEAT_AFTER_STEPS and last not in MODIFIER_SCANCODES:
            self._fake(X.KeyRelease, KEYCODES[last])
            self._fake(X.KeyPress, KEYCODES[last])

    def _fake(self, kind: int, detail: int, x_px: int = 0, y_px: int = 0) -> None:
        from Xlib.ext import xtest

        xtest.fake_input(self._display, kind, detail, x=x_px, y=y_px)


def _char_of(keysym: int) -> str:
    """Return the character that a key symbol stands for; empty for one that gives no text."""
    if 0x20 <= keysym <= 0x7E or 0xA0 <= keysym <= 0xFF:
        return chr(keysym)
    if keysym & 0xFF000000 == _UNICODE_KEYSYM:
        return chr(keysym & 0xFFFFFF)
    return ""
