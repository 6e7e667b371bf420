"""A bitmap font of 5x7 pixels, so that text looks the same on every machine."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

GLYPH_WIDTH_PX = 5
GLYPH_HEIGHT_PX = 7
ADVANCE_PX = GLYPH_WIDTH_PX + 1

# Seven rows from top to bottom, two hex digits each; bit 4 is the leftmost pixel.
_ROWS = {
    " ": "00000000000000", "!": "04040404000004", '"': "0a0a0000000000", "#": "0a0a1f0a1f0a0a",
    "$": "040f140e051e04", "%": "18190204081303", "&": "0c12140815120d", "'": "04040000000000",
    "(": "02040808080402", ")": "08040202020408", "*": "0004150e150400", "+": "0004041f040400",
    ",": "000000000c0408", "-": "0000001f000000", ".": "00000000000c0c", "/": "00010204081000",
    "0": "0e11131519110e", "1": "040c040404040e", "2": "0e11010204081f", "3": "1f02040201110e",
    "4": "02060a121f0202", "5": "1f101e0101110e", "6": "0608101e11110e", "7": "1f010204080808",
    "8": "0e11110e11110e", "9": "0e11110f01020c", ":": "000c0c000c0c00", ";": "000c0c000c0408",
    "<": "02040810080402", "=": "00001f001f0000", ">": "08040201020408", "?": "0e110102040004",
    "@": "0e11010d15150e", "A": "0e11111f111111", "B": "1e11111e11111e", "C": "0e11101010110e",
    "D": "1e11111111111e", "E": "1f10101e10101f", "F": "1f10101e101010", "G": "0e11101711110f",
    "H": "1111111f111111", "I": "0e04040404040e", "J": "0702020202120c", "K": "11121418141211",
    "L": "1010101010101f", "M": "111b1515111111", "N": "11111915131111", "O": "0e11111111110e",
    "P": "1e11111e101010", "Q": "0e11111115120d", "R": "1e11111e141211", "S": "0f10100e01011e",
    "T": "1f040404040404", "U": "1111111111110e", "V": "11111111110a04", "W": "11111115151b11",
    "X": "11110a040a1111", "Y": "11110a04040404", "Z": "1f01020408101f", "[": "0e08080808080e",
    "\\": "00100804020100", "]": "0e02020202020e", "^": "040a1100000000", "_": "0000000000001f",
    "`": "08040200000000", "a": "00000e010f110f", "b": "10101e1111111e", "c": "00000e1010110e",
    "d": "01010f1111110f", "e": "00000e111f100e", "f": "0609081c080808", "g": "0f1111110f010e",
    "h": "10101619111111", "i": "04000c0404040e", "j": "0200060202120c", "k": "10101214181412",
    "l": "0c04040404040e", "m": "00001a15151111", "n": "00001619111111", "o": "00000e1111110e",
    "p": "1e1111111e1010", "q": "0f1111110f0101", "r": "00001619101010", "s": "00000e100e011e",
    "t": "08081c08080906", "u": "0000111111130d", "v": "00001111110a04", "w": "0000111115150a",
    "x": "0000110a040a11", "y": "111111110f010e", "z": "00001f0204081f", "{": "02040408040402",
    "|": "04040404040404", "}": "08040402040408", "~": "00000815020000",
}  # fmt: skip
_UNKNOWN_ROWS = "1f11111111111f"
_DESCENDING = "gpqy"
_DESCENT_PX = 2


def text_width_px(text: str, scale: int = 1) -> int:
    """Return how wide a line of text is."""
    return max(0, len(text) * ADVANCE_PX - 1) * scale


def fit_text(text: str, width_px: int) -> str:
    """Return the text, or as much of its beginning as fits with two dots after it."""
    if text_width_px(text) <= width_px:
        return text
    return text[: max(0, (width_px + 1) // ADVANCE_PX - 2)] + ".."


@lru_cache(maxsize=1024)
def text_mask(text: str, scale: int = 1) -> npt.NDArray[np.bool_]:
    """Return the pixels of a line of text, (9 scale, width); row 7 on is the descent.

    A character that the font lacks is drawn as a hollow box.
    """
    cells = [_cell(character) for character in text] or [_cell(" ")]
    mask = np.concatenate(cells, axis=1)[:, :-1]
    scaled = mask.repeat(scale, axis=0).repeat(scale, axis=1)
    scaled.flags.writeable = False
    return scaled


@lru_cache(maxsize=256)
def _cell(character: str) -> npt.NDArray[np.bool_]:
    """Return one character with the empty column after it, (9, 6)."""
    cell = np.zeros((GLYPH_HEIGHT_PX + _DESCENT_PX, ADVANCE_PX), dtype=np.bool_)
    rows = bytes.fromhex(_ROWS.get(character, _UNKNOWN_ROWS))
    top_px = _DESCENT_PX if character in _DESCENDING else 0
    for y_px, bits in enumerate(rows, start=top_px):
        for x_px in range(GLYPH_WIDTH_PX):
            cell[y_px, x_px] = bits >> (GLYPH_WIDTH_PX - 1 - x_px) & 1
    return cell
