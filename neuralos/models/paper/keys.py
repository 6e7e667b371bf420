"""The keys that the public model knows, and how other names for keys reach them.

The list is that of a desktop-automation library without the fifteen keys that nobody sends;
a key's place in it is its row of the embedding, so its order is part of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping

from data_collection.imports.browser_keys import KEYS as BROWSER_KEYS

_SIGNS = (
    "\t\n\r !\"#$%&'()*+,-./0123456789:;<=>?@[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
)  # fmt: skip
_NAMED = """
accept add alt altleft altright apps backspace browserback browserfavorites browserforward
browserhome browserrefresh browsersearch browserstop capslock clear convert ctrl ctrlleft
ctrlright decimal del delete divide down end enter esc escape f1 f10 f11 f12 f2 f3 f4 f5 f6
f7 f8 f9 final fn hanguel hangul hanja help home insert junja kana kanji launchapp1
launchapp2 launchmail launchmediaselect left modechange multiply nexttrack nonconvert num0
num1 num2 num3 num4 num5 num6 num7 num8 num9 numlock pagedown pageup pause pgdn pgup
playpause prevtrack print printscreen prntscrn prtsc prtscr return right scrolllock shift
shiftleft shiftright sleep space stop subtract tab up volumedown volumemute volumeup win
winleft winright yen command option optionleft optionright
"""

KEY_NAMES = (*_SIGNS, *_NAMED.split())
"""The public names in the order of their rows."""

KEY_ROWS: Mapping[str, int] = {name: row for row, name in enumerate(KEY_NAMES)}
"""The row of each name."""

BROWSER_NAMES: Mapping[str, str] = {
    "arrowup": "up",
    "arrowdown": "down",
    "arrowleft": "left",
    "arrowright": "right",
    "meta": "command",
    "contextmenu": "apps",
    "control": "ctrl",
}
"""Public names of keys that browsers call otherwise, in lower case."""

NO_KEY = -1
"""In ``scancode_rows``: the public model does not know this key."""

SHIFT_SCANCODES = (225, 229)

_TWINS = {228: 224, 229: 225, 230: 226, 231: 227}
"""Modifiers of the right hand: browsers give them the names of the left hand's."""

_KEYPAD = dict(zip(range(84, 100), ("/", "*", "-", "+", "enter", *"1234567890."), strict=True))


def browser_row(name: str, rows: Mapping[str, int] = KEY_ROWS) -> int | None:
    """Return the row of a browser's key name (``KeyboardEvent.key``), ``None`` if unknown."""
    lower = name.lower()
    return rows.get(BROWSER_NAMES.get(lower, lower))


def scancode_rows(size: int) -> tuple[list[int], list[int]]:
    """Return the rows of SDL scancodes 0 to ``size`` - 1, without and with Shift held.

    The public model was trained on what a browser called each key, so with Shift held the key
    of ``1`` is its key ``!``. ``NO_KEY`` stands for a key that it does not know.
    """
    plain, shifted = [NO_KEY] * size, [NO_KEY] * size
    for name, key in BROWSER_KEYS.items():
        row = browser_row(name)
        if row is not None and key.scancode < size:
            (shifted if key.shifted else plain)[key.scancode] = row
    for scancode, name in _KEYPAD.items():
        plain[scancode] = KEY_ROWS[name]
    for right, left in _TWINS.items():
        plain[right] = plain[left]
    both = [row if row != NO_KEY else plain[index] for index, row in enumerate(shifted)]
    return plain, both
