"""The terminal: echoes what is typed and runs the shell's commands."""

from __future__ import annotations

from collections.abc import Hashable

from data_collection.desktops.scripted import scancodes
from data_collection.desktops.scripted.apps.content import Content, Desk
from data_collection.desktops.scripted.drawing import Colour, fill, fill_all, outline, write
from data_collection.desktops.scripted.font import ADVANCE_PX
from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.menu import MenuItem
from data_collection.desktops.scripted.shell import Shell
from data_collection.desktops.scripted.textfield import TextField
from data_collection.desktops.scripted.wrapping import chunks
from data_collection.trace import Frame

MOST_LINES = 200
_MOST_INPUT = 120
_MOST_HISTORY = 50
_LINE_PX = 12
_MARGIN_PX = 4
_PAPER: Colour = (24, 28, 36)
_INK: Colour = (216, 232, 216)
_GREETING = "Type help for a list of commands."


class Terminal(Content):
    """Lines that were printed, and the line being typed after the prompt."""

    app = "Terminal"

    def __init__(self, desk: Desk) -> None:
        """Start a shell at home."""
        super().__init__(desk)
        self._shell = Shell(desk.files)
        self._input = TextField(most_characters=_MOST_INPUT)
        self._history: list[str] = []
        self._recalled = 0
        self._scroll = 0
        self.lines: list[str] = [_GREETING]

    @property
    def cwd(self) -> str:
        """The folder that commands run in."""
        return self.desk.files.path(self._shell.cwd)

    @property
    def typed(self) -> str:
        """The line that is being typed."""
        return self._input.text

    @property
    def look(self) -> Hashable:
        """The rows in sight, and the caret."""
        return self._screen()

    def type_text(self, text: str) -> None:
        """Put text at the caret."""
        self._input.insert(text)
        self._scroll = 0

    def press_key(self, scancode: int) -> None:
        """Run the line, edit it, or fetch an earlier one."""
        if scancode in (scancodes.PAGE_UP, scancodes.PAGE_DOWN):
            self.turn_wheel(4 if scancode == scancodes.PAGE_UP else -4)
            return
        if scancode in (scancodes.RETURN, scancodes.KEYPAD_RETURN):
            self._run()
        elif scancode in (scancodes.UP, scancodes.DOWN):
            self._recall(-1 if scancode == scancodes.UP else 1)
        elif not self._input.press_key(scancode):
            return
        self._scroll = 0

    def turn_wheel(self, dy: int) -> None:
        """Scroll back and forth."""
        lines = [*self.lines, self._shell.prompt + self._input.text + " "]
        height = sum(len(chunks(line, self._columns)) for line in lines)
        self._scroll = max(0, min(self._scroll + dy, height - self._fit))

    def menu_items(self, x_px: int, y_px: int) -> tuple[MenuItem, ...]:
        """Offer to empty the screen."""
        return (MenuItem("Clear", self._clear),)

    def resize(self, width_px: int, height_px: int) -> None:
        """Take over a new size."""
        super().resize(width_px, height_px)
        self.turn_wheel(0)

    def paint(self, canvas: Frame, focused: bool) -> None:
        """Draw the rows and the caret: a block with the focus, a frame without."""
        fill_all(canvas, _PAPER)
        rows, caret = self._screen()
        for row, line in enumerate(rows):
            write(canvas, _MARGIN_PX, _MARGIN_PX + _LINE_PX * row, line, _INK)
        if caret is None:
            return
        row, column = caret
        x_px, y_px = _MARGIN_PX + ADVANCE_PX * column, _MARGIN_PX + _LINE_PX * row
        block = Rect(x_px - 1, y_px - 1, ADVANCE_PX + 1, 10)
        if focused:
            fill(canvas, block, _INK)
            write(canvas, x_px, y_px, rows[row][column : column + 1], _PAPER)
        else:
            outline(canvas, block, _INK)

    @property
    def _columns(self) -> int:
        return max(1, (self.width_px - 2 * _MARGIN_PX) // ADVANCE_PX)

    @property
    def _fit(self) -> int:
        """How many rows are in sight."""
        return max(1, (self.height_px - 2 * _MARGIN_PX) // _LINE_PX)

    def _screen(self) -> tuple[tuple[str, ...], tuple[int, int] | None]:
        """Return the rows in sight, and row and column of the caret where it is among them."""
        wanted, columns = self._fit + self._scroll, self._columns
        prompt = self._shell.prompt
        rows = chunks(prompt + self._input.text + " ", columns)
        at = len(prompt) + self._input.caret
        from_end = len(rows) - at // columns
        for line in reversed(self.lines):
            if len(rows) >= wanted:
                break
            rows = chunks(line, columns) + rows
        first = max(0, len(rows) - wanted)
        row = len(rows) - from_end - first
        caret = (row, at % columns) if 0 <= row < self._fit else None
        return tuple(rows[first : first + self._fit]), caret

    def _run(self) -> None:
        line = self._input.text
        self.lines.append(self._shell.prompt + line)
        answer = self._shell.run(line)
        if answer.clear:
            self.lines.clear()
        self.lines += answer.lines
        del self.lines[:-MOST_LINES]
        if line.strip():
            self._history = [*self._history, line][-_MOST_HISTORY:]
        self._recalled = len(self._history)
        self._input.set("")

    def _recall(self, step: int) -> None:
        self._recalled = min(max(self._recalled + step, 0), len(self._history))
        recalled = self._history[self._recalled :][:1]
        self._input.set(recalled[0] if recalled else "")

    def _clear(self) -> None:
        self.lines.clear()
        self._scroll = 0
