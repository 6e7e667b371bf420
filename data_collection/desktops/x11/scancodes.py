"""Keys of the keyboard: SDL scancodes (USB HID usages) to X keycodes, and symbols to both.

X servers number keys as the Linux kernel does (evdev), plus 8.
"""

from __future__ import annotations

_LETTERS_EVDEV = (
    30, 48, 46, 32, 18, 33, 34, 35, 23, 36, 37, 38, 50, 49, 24, 25, 16, 19, 31, 20, 22, 47, 17,
    45, 21, 44,
)  # fmt: skip
"""a to z, which are the usages 4 to 29."""

_FROM_30_EVDEV = (
    2, 3, 4, 5, 6, 7, 8, 9, 10, 11,  # 1 to 9, 0
    28, 1, 14, 15, 57,  # Return Escape Backspace Tab Space
    12, 13, 26, 27, 43, 43, 39, 40, 41, 51, 52, 53,  # - = [ ] \ # ; ' ` , . /
    58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 87, 88,  # CapsLock F1 to F12
    99, 70, 119, 110, 102, 104, 111, 107, 109,  # PrintScreen to PageDown
    106, 105, 108, 103,  # Right Left Down Up
    69, 98, 55, 74, 78, 96, 79, 80, 81, 75, 76, 77, 71, 72, 73, 82, 83,  # keypad
    86, 127, 116, 117,  # the key beside the left shift, Menu, Power, keypad =
)  # fmt: skip

_MODIFIERS_EVDEV = (29, 42, 56, 125, 97, 54, 100, 126)
"""Usages 224 to 231: Control Shift Alt Super, left then right."""

KEYCODES: dict[int, int] = {
    **{4 + index: evdev + 8 for index, evdev in enumerate(_LETTERS_EVDEV)},
    **{30 + index: evdev + 8 for index, evdev in enumerate(_FROM_30_EVDEV)},
    **{224 + index: evdev + 8 for index, evdev in enumerate(_MODIFIERS_EVDEV)},
}
"""X keycode by SDL scancode."""

SHIFT_SCANCODES = frozenset({225, 229})
MODIFIER_SCANCODES = frozenset(range(224, 232)) | {57}
