"""The keys that mean something to the desktop, as SDL scancodes."""

from __future__ import annotations

RETURN = 40
ESCAPE = 41
BACKSPACE = 42
F2 = 59
F4 = 61
HOME = 74
PAGE_UP = 75
DELETE = 76
END = 77
PAGE_DOWN = 78
RIGHT = 79
LEFT = 80
DOWN = 81
UP = 82
KEYPAD_RETURN = 88
LEFT_ALT = 226

REPEATING = frozenset({BACKSPACE, DELETE, PAGE_UP, PAGE_DOWN, RIGHT, LEFT, DOWN, UP})
"""Keys that go on acting while they are held."""
