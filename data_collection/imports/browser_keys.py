"""Browser key names (``KeyboardEvent.key``) on a US keyboard: SDL scancode and symbol."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PhysicalKey:
    """A key of a US keyboard; ``shifted`` if the name is what it gives with Shift."""

    scancode: int
    keysym: str
    shifted: bool = False


SHIFT = PhysicalKey(225, "left shift")
MODIFIERS = frozenset({224, 226, 227, 228, 230, 231})
"""Control, Alt and Meta: a key pressed while one is held types no text."""
SHIFTS = frozenset({225, 229})

_NAMED = {
    "Enter": (40, "return"),
    "Escape": (41, "escape"),
    "Backspace": (42, "backspace"),
    "Tab": (43, "tab"),
    " ": (44, "space"),
    "CapsLock": (57, "caps lock"),
    "PrintScreen": (70, "print screen"),
    "ScrollLock": (71, "scroll lock"),
    "Pause": (72, "break"),
    "Insert": (73, "insert"),
    "Home": (74, "home"),
    "PageUp": (75, "page up"),
    "Delete": (76, "delete"),
    "End": (77, "end"),
    "PageDown": (78, "page down"),
    "ArrowRight": (79, "right"),
    "ArrowLeft": (80, "left"),
    "ArrowDown": (81, "down"),
    "ArrowUp": (82, "up"),
    "NumLock": (83, "numlock"),
    "ContextMenu": (101, "application"),
    "Control": (224, "left ctrl"),
    "Shift": (225, "left shift"),
    "Alt": (226, "left alt"),
    "Meta": (227, "left meta"),
    "AltGraph": (230, "right alt"),
}
_PRINTED = "-=[]\\;'`,./"
_PRINTED_SCANCODES = (45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56)
_SHIFTED = dict(zip('!@#$%^&*()_+{}|:"~<>?', "1234567890-=[]\\;'`,./", strict=True))


def _table() -> dict[str, PhysicalKey]:
    keys = {name: PhysicalKey(*key) for name, key in _NAMED.items()}
    for index, letter in enumerate("abcdefghijklmnopqrstuvwxyz"):
        keys[letter] = PhysicalKey(4 + index, letter)
        keys[letter.upper()] = PhysicalKey(4 + index, letter, shifted=True)
    for index, digit in enumerate("1234567890"):
        keys[digit] = PhysicalKey(30 + index, digit)
    for scancode, sign in zip(_PRINTED_SCANCODES, _PRINTED, strict=True):
        keys[sign] = PhysicalKey(scancode, sign)
    for sign, plain in _SHIFTED.items():
        keys[sign] = PhysicalKey(keys[plain].scancode, plain, shifted=True)
    for number in range(1, 25):
        first = 58 if number <= 12 else 104 - 12
        keys[f"F{number}"] = PhysicalKey(first + number - 1, f"f{number}")
    return keys


KEYS: dict[str, PhysicalKey] = _table()


def text_of(name: str) -> str:
    """Return the text that a key's name stands for; empty for Enter, Shift and the like."""
    return name if len(name) == 1 else ""
