"""The viewer: shows a text file."""

from __future__ import annotations

from collections.abc import Hashable

from data_collection.desktops.scripted.apps.content import INK, Content, Desk
from data_collection.desktops.scripted.drawing import fill_all, write
from data_collection.desktops.scripted.filesystem import TextFile
from data_collection.desktops.scripted.wrapping import wrapped
from data_collection.trace import Frame

_LINE_PX = 12
_MARGIN_PX = 8


class Viewer(Content):
    """The lines of one file."""

    app = "Viewer"

    def __init__(self, desk: Desk, file: TextFile) -> None:
        """Store the file."""
        super().__init__(desk)
        self._file = file
        self._scroll = 0

    @property
    def title(self) -> str:
        """The name of the file."""
        return self._file.name

    @property
    def look(self) -> Hashable:
        """The text, and where it is scrolled to."""
        return self._file.text, self._scroll

    def turn_wheel(self, dy: int) -> None:
        """Scroll by lines."""
        self._scroll = max(0, min(self._scroll - dy, len(self._lines) - 1))

    def paint(self, canvas: Frame, focused: bool) -> None:
        """Draw the lines from the one scrolled to."""
        fill_all(canvas, (252, 252, 252))
        for row, line in enumerate(self._lines[self._scroll :]):
            write(canvas, _MARGIN_PX, _MARGIN_PX + _LINE_PX * row, line, INK)

    @property
    def _lines(self) -> list[str]:
        width_px = self.width_px - 2 * _MARGIN_PX
        return [part for line in self._file.text.split("\n") for part in wrapped(line, width_px)]
