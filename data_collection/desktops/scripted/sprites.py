"""The pictures of the scripted desktop: its icons and its two cursors."""

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

ICON_SIZE_PX = 48
_ICON_SCALE = 3

ICONS: dict[str, Sprite] = {
    name: sprite_from_art(art, _PALETTE, _ICON_SCALE)
    for name, art in (("house", _HOUSE), ("globe", _GLOBE), ("bin", _BIN), ("folder", _FOLDER))
}
SMALL_FOLDER = sprite_from_art(_FOLDER, _PALETTE)
ARROW = sprite_from_art(_ARROW, _PALETTE)
HOURGLASS = sprite_from_art(_HOURGLASS, _PALETTE)
