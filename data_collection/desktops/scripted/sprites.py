"""The pictures of the scripted desktop: its icons and its cursors."""

from __future__ import annotations

from data_collection.desktops.scripted.drawing import Colour, Sprite, sprite_from_art

_PALETTE: dict[str, Colour] = {
    "X": (16, 16, 20),
    "w": (255, 255, 255),
    "r": (196, 58, 44),
    "c": (248, 232, 196),
    "d": (120, 72, 36),
    "b": (40, 120, 232),
    "g": (72, 184, 88),
    "s": (176, 182, 190),
    "k": (96, 102, 112),
    "y": (248, 204, 72),
    "o": (208, 152, 32),
    "a": (255, 160, 0),
    "n": (24, 28, 36),
}

_HOUSE = (
    "................",
    ".......XX.......",
    "......XrrX......",
    ".....XrrrrX.....",
    "....XrrrrrrX....",
    "...XrrrrrrrrX...",
    "..XrrrrrrrrrrX..",
    ".XrrrrrrrrrrrrX.",
    "XXXXXXXXXXXXXXXX",
    "..XccccccccccX..",
    "..XcbbccddddcX..",
    "..XcbbccddddcX..",
    "..XcbbccddddcX..",
    "..XcccccddddcX..",
    "..XcccccddddcX..",
    "..XXXXXXXXXXXX..",
)
_GLOBE = (
    ".....XXXXXX.....",
    "...XXbbbgggXX...",
    "..XbbbbgggggbX..",
    ".XbbbbbgggggbbX.",
    ".XggbbbbgggbbbX.",
    "XggggbbbbgbbbbbX",
    "XgggggbbbbbbbbbX",
    "XgggggbbbbbggbbX",
    "XgggggbbbbgggggX",
    "XbgggbbbbbgggggX",
    "XbggbbbbbbbggggX",
    ".XggbbbbbbbgggX.",
    ".XgbbbbbbbbggbX.",
    "..XbbbbbbbbbbX..",
    "...XXbbbbbbXX...",
    ".....XXXXXX.....",
)
_BIN = (
    "................",
    "......XXXX......",
    ".....XkkkkX.....",
    "..XXXXXXXXXXXX..",
    ".XssssssssssssX.",
    ".XXXXXXXXXXXXXX.",
    "..XskssskssskX..",
    "..XskssskssskX..",
    "..XskssskssskX..",
    "..XskssskssskX..",
    "..XskssskssskX..",
    "..XskssskssskX..",
    "..XskssskssskX..",
    "...XsssssssssX..",
    "...XsssssssssX..",
    "...XXXXXXXXXXX..",
)
_FOLDER = (
    "................",
    "................",
    ".XXXXXX.........",
    "XooooooX........",
    "XoooooooXXXXXXX.",
    "XooooooooooooooX",
    "XXXXXXXXXXXXXXXX",
    "XyyyyyyyyyyyyyyX",
    "XyyyyyyyyyyyyyyX",
    "XyyyyyyyyyyyyyyX",
    "XyyyyyyyyyyyyyyX",
    "XyyyyyyyyyyyyyyX",
    "XyyyyyyyyyyyyyyX",
    "XyyyyyyyyyyyyyyX",
    "XXXXXXXXXXXXXXXX",
    "................",
)
_SCREEN = (
    "................",
    "XXXXXXXXXXXXXXXX",
    "XssssssssssssssX",
    "XXXXXXXXXXXXXXXX",
    "XnnnnnnnnnnnnnnX",
    "XngnnnnnnnnnnnnX",
    "XnggnnnnnnnnnnnX",
    "XnnggnnnnnnnnnnX",
    "XnnnggnnnnnnnnnX",
    "XnnggnnnnnnnnnnX",
    "XnggnnnnnnnnnnnX",
    "XngnnnggggnnnnnX",
    "XnnnnnnnnnnnnnnX",
    "XnnnnnnnnnnnnnnX",
    "XXXXXXXXXXXXXXXX",
    "................",
)
_FILE = (
    "..XXXXXXXXX.....",
    "..XwwwwwwwXX....",
    "..XwwwwwwwXwX...",
    "..XwwwwwwwXXXX..",
    "..XwwwwwwwwwwX..",
    "..XwbbbbbbbbwX..",
    "..XwwwwwwwwwwX..",
    "..XwbbbbbbbbwX..",
    "..XwwwwwwwwwwX..",
    "..XwbbbbbbbbwX..",
    "..XwwwwwwwwwwX..",
    "..XwbbbbbwwwwX..",
    "..XwwwwwwwwwwX..",
    "..XwwwwwwwwwwX..",
    "..XXXXXXXXXXXX..",
    "................",
)
_UP = (
    "....X....",
    "...XXX...",
    "..XXXXX..",
    ".XXXXXXX.",
    "XXXXXXXXX",
    "...XXX...",
    "...XXX...",
    "...XXX...",
    "...XXX...",
)
_ARROW = (
    "XX............",
    "XXX...........",
    "XXXX..........",
    "XXwXX.........",
    "XXwwXX........",
    "XXwwwXX.......",
    "XXwwwwXX......",
    "XXwwwwwXX.....",
    "XXwwwwwwXX....",
    "XXwwwwwwwXX...",
    "XXwwwwwwwwXX..",
    "XXwwwwwwwwwXX.",
    "XXwwwwwwXXXXXX",
    "XXwwwXwwXXXXX.",
    "XXwwXXwwXX....",
    "XXwXXXXwwXX...",
    "XXXX.XXwwXX...",
    "XXX...XXwwXX..",
    ".X....XXwwXX..",
    ".......XXXX...",
    "........XX....",
)
_HOURGLASS = (
    "XXXXXXXXXXXXXXXX",
    "XwwwwwwwwwwwwwwX",
    "XXXXXXXXXXXXXXXX",
    ".XaaaaaaaaaaaaX.",
    ".XaaaaaaaaaaaaX.",
    ".XaaaaaaaaaaaaX.",
    "..XaaaaaaaaaaX..",
    "...XaaaaaaaaX...",
    "....XaaaaaaX....",
    ".....XaaaaX.....",
    ".....XaaaaX.....",
    "....XaaaaaaX....",
    "...XaaaaaaaaX...",
    "..XaaaaaaaaaaX..",
    ".XaaaaaaaaaaaaX.",
    ".XaaaaaaaaaaaaX.",
    ".XaaaaaaaaaaaaX.",
    "XXXXXXXXXXXXXXXX",
    "XwwwwwwwwwwwwwwX",
    "XXXXXXXXXXXXXXXX",
)

ICON_ART_PX = 16

_ICON_ART = {
    "house": _HOUSE,
    "globe": _GLOBE,
    "bin": _BIN,
    "folder": _FOLDER,
    "screen": _SCREEN,
    "file": _FILE,
}
ICONS: dict[tuple[str, int], Sprite] = {
    (name, scale): sprite_from_art(art, _PALETTE, scale)
    for name, art in _ICON_ART.items()
    for scale in (1, 2, 3)
}
"""Icons by name and scale."""
SMALL_FOLDER = ICONS["folder", 1]
SMALL_FILE = ICONS["file", 1]
UP = sprite_from_art(_UP, _PALETTE)
ARROW = sprite_from_art(_ARROW, _PALETTE)
HOURGLASS = sprite_from_art(_HOURGLASS, _PALETTE)
