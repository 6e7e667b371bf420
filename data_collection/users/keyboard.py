"""Which keys give which characters on a US keyboard, as SDL scancodes and X key names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """A key: its SDL scancode and the name of its symbol."""

    scancode: int
    keysym: str


RETURN = Key(40, "Return")
ESCAPE = Key(41, "Escape")
BACKSPACE = Key(42, "BackSpace")
SPACE = Key(44, "space")
F4 = Key(61, "F4")
ARROWS = (Key(79, "Right"), Key(80, "Left"), Key(81, "Down"), Key(82, "Up"))
LEFT_SHIFT = Key(225, "Shift_L")
LEFT_ALT = Key(226, "Alt_L")

LETTERS = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "1234567890"
_PLAIN = {
    "-": (45, "minus"),
    "=": (46, "equal"),
    "[": (47, "bracketleft"),
    "]": (48, "bracketright"),
    "\\": (49, "backslash"),
    ";": (51, "semicolon"),
    "'": (52, "apostrophe"),
    "`": (53, "grave"),
    ",": (54, "comma"),
    ".": (55, "period"),
    "/": (56, "slash"),
}
_SHIFTED = dict(zip('!@#$%^&*()_+{}|:"~<>?', "1234567890-=[]\\;'`,./", strict=True))
_SHIFTED_NAMES = {
    "!": "exclam", "@": "at", "#": "numbersign", "$": "dollar", "%": "percent",
    "^": "asciicircum", "&": "ampersand", "*": "asterisk", "(": "parenleft", ")": "parenright",
    "_": "underscore", "+": "plus", "{": "braceleft", "}": "braceright", "|": "bar",
    ":": "colon", '"': "quotedbl", "~": "asciitilde", "<": "less", ">": "greater",
    "?": "question",
}  # fmt: skip


class NoSuchKey(ValueError):
    """No key of this keyboard gives the character."""


def key_of(character: str) -> tuple[Key, bool]:
    """Return the key that gives a character, and whether shift has to be held.

    Raises:
        NoSuchKey: there is none.
    """
    if character == " ":
        return SPACE, False
    if character in LETTERS:
        return Key(4 + LETTERS.index(character), character), False
    if character in _DIGITS:
        return Key(30 + _DIGITS.index(character), character), False
    if character in _PLAIN:
        return Key(*_PLAIN[character]), False
    if character.lower() in LETTERS:
        return Key(4 + LETTERS.index(character.lower()), character), True
    if character in _SHIFTED:
        key, _ = key_of(_SHIFTED[character])
        return Key(key.scancode, _SHIFTED_NAMES[character]), True
    raise NoSuchKey(f"no key gives {character!r}")
