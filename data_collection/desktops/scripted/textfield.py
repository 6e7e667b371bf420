"""A line of text being edited."""

from __future__ import annotations

from data_collection.desktops.scripted import scancodes
from data_collection.desktops.scripted.drawing import Colour, fill, outline, write
from data_collection.desktops.scripted.font import ADVANCE_PX, GLYPH_HEIGHT_PX
from data_collection.desktops.scripted.geometry import Rect
from data_collection.trace import Frame

_PADDING_PX = 4
_PAPER: Colour = (255, 255, 255)
_INK: Colour = (24, 28, 36)
_EDGE: Colour = (112, 116, 124)
_FOCUSED_EDGE: Colour = (64, 128, 216)
_SELECTION: Colour = (64, 128, 216)

Look = tuple[str, int, bool]


class TextField:
    """Text with a caret; after ``select_all`` what is typed replaces everything."""

    def __init__(self, text: str = "", most_characters: int = 200) -> None:
        """Store the text, with the caret behind it."""
        self.text = text
        self.caret = len(text)
        self.selected = False
        self._most_characters = most_characters

    @property
    def look(self) -> Look:
        """What its picture depends on."""
        return self.text, self.caret, self.selected

    def set(self, text: str) -> None:
        """Replace the text, with the caret behind it."""
        self.text, self.caret, self.selected = text, len(text), False

    def select_all(self) -> None:
        """Mark all, so that typing replaces it."""
        self.caret, self.selected = len(self.text), bool(self.text)

    def insert(self, text: str) -> None:
        """Put text at the caret, as far as there is room."""
        if self.selected:
            self.set("")
        printable = "".join(character for character in text if character.isprintable())
        room = self._most_characters - len(self.text)
        added = printable[: max(0, room)]
        self.text = self.text[: self.caret] + added + self.text[self.caret :]
        self.caret += len(added)

    def press_key(self, scancode: int) -> bool:
        """Edit or move the caret; say whether the key meant something here."""
        if scancode in (scancodes.BACKSPACE, scancodes.DELETE):
            if self.selected:
                self.set("")
            else:
                at = self.caret - (scancode == scancodes.BACKSPACE)
                if at >= 0:
                    self.text = self.text[:at] + self.text[at + 1 :]
                    self.caret = at
            return True
        moves = {
            scancodes.LEFT: 0 if self.selected else self.caret - 1,
            scancodes.RIGHT: self.caret + 1,
            scancodes.HOME: 0,
            scancodes.END: len(self.text),
        }
        if scancode not in moves:
            return False
        self.caret = min(max(moves[scancode], 0), len(self.text))
        self.selected = False
        return True

    def press(self, x_px: int, width_px: int) -> None:
        """Put the caret where a field of that width was pressed."""
        cell = (x_px - _PADDING_PX + ADVANCE_PX // 2) // ADVANCE_PX
        self.caret = min(max(self._first(width_px) + cell, 0), len(self.text))
        self.selected = False

    def paint(self, canvas: Frame, rect: Rect, focused: bool) -> None:
        """Draw the field; the caret never blinks."""
        fill(canvas, rect, _PAPER)
        outline(canvas, rect, _FOCUSED_EDGE if focused else _EDGE)
        first = self._first(rect.width_px) if focused else 0
        shown = self.text[first : first + _cells(rect.width_px)]
        x_px = rect.x_px + _PADDING_PX
        y_px = rect.y_px + (rect.height_px - GLYPH_HEIGHT_PX) // 2
        if focused and self.selected:
            band = Rect(x_px - 1, y_px - 2, len(shown) * ADVANCE_PX + 1, GLYPH_HEIGHT_PX + 4)
            fill(canvas, band, _SELECTION)
        write(canvas, x_px, y_px, shown, _PAPER if focused and self.selected else _INK)
        if focused and not self.selected:
            caret_px = x_px + (self.caret - first) * ADVANCE_PX - 1
            fill(canvas, Rect(caret_px, y_px - 2, 1, GLYPH_HEIGHT_PX + 4), _INK)

    def _first(self, width_px: int) -> int:
        """Return the first character shown, so that the caret is in sight."""
        return max(0, self.caret - _cells(width_px))


def _cells(width_px: int) -> int:
    return max(1, (width_px - 2 * _PADDING_PX) // ADVANCE_PX)
