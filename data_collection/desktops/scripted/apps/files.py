"""The file manager: rows of folders and files, and a button that goes up."""

from __future__ import annotations

from collections.abc import Hashable

from data_collection.desktops.scripted import scancodes
from data_collection.desktops.scripted.apps.content import (
    FAINT_INK,
    INK,
    SELECTION,
    STRIP,
    Content,
    Desk,
)
from data_collection.desktops.scripted.drawing import (
    Colour,
    fill,
    fill_all,
    outline,
    paste,
    write,
    write_centred,
)
from data_collection.desktops.scripted.filesystem import Folder, Node
from data_collection.desktops.scripted.font import fit_text
from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.menu import MenuItem
from data_collection.desktops.scripted.sprites import SMALL_FILE, SMALL_FOLDER, UP
from data_collection.trace import Frame

_PAPER: dict[str, Colour] = {
    "Home": (240, 240, 232),
    "Trash": (224, 220, 228),
    "Folder": (248, 236, 200),
}
_EMPTY = {"Trash": "Trash is empty"}
_NAME_FROM_PX = 32


class FileManager(Content):
    """Shows one folder; a double click goes in, the button at the top left goes up."""

    def __init__(self, desk: Desk, app: str, folder: Folder) -> None:
        """Start in a folder."""
        super().__init__(desk)
        self.app = app
        self._folder = folder
        self._selected: Node | None = None
        self._scroll = 0

    @property
    def folder(self) -> Folder:
        """The folder shown; home once it is gone."""
        if not self.desk.files.alive(self._folder):
            self._enter(self.desk.files.home)
        return self._folder

    @property
    def title(self) -> str:
        """The name of the folder."""
        folder, files = self.folder, self.desk.files
        if folder is files.home or folder is files.trash:
            return "Home" if folder is files.home else "Trash"
        return folder.name or "/"

    @property
    def look(self) -> Hashable:
        """The rows, where they are scrolled to, and the name being typed."""
        rows = tuple((node.name, isinstance(node, Folder)) for node in self.folder.shown)
        naming = self.desk.naming
        typed = naming.field.look if naming is not None and naming.owner is self else None
        named = self.row_of(naming.node) if naming is not None and typed is not None else None
        selected = self._selected and self._selected.name
        path = self.desk.files.path(self.folder, short=True)
        return self.app, path, rows, self._scroll, selected, typed, named

    def row_of(self, node: Node) -> Rect | None:
        """Return where the name of a node stands; None where it is scrolled away."""
        shown = self.folder.shown
        row = shown.index(node) - self._scroll if node in shown else -1
        if not 0 <= row < self._fit:
            return None
        rect = self._row(row)
        return Rect(_NAME_FROM_PX - 4, rect.y_px + 2, self.width_px - 36, rect.height_px - 4)

    def show(self, node: Node) -> None:
        """Scroll until a node is in sight."""
        row = self.folder.shown.index(node)
        self._scroll = min(max(self._scroll, row - self._fit + 1), row)

    def resize(self, width_px: int, height_px: int) -> None:
        """Take over a new size."""
        super().resize(width_px, height_px)
        self._scroll_to(self._scroll)

    def press(self, x_px: int, y_px: int) -> None:
        """Select a row, go in on a double click, or go up."""
        if self._up.contains(x_px, y_px):
            self._go_up()
            return
        node = self._node_at(y_px)
        self._selected = node
        if node is not None and self.desk.double(("row", self, node)):
            self._open(node)

    def menu_items(self, x_px: int, y_px: int) -> tuple[MenuItem, ...]:
        """Offer what can be done with the row, or with the folder."""
        files, node = self.desk.files, self._node_at(y_px)
        self._selected = node
        if self.folder is files.trash:
            return (MenuItem("Empty Trash", files.empty_trash),)
        if node is None:
            parent = self.folder
            return (MenuItem("Create folder", lambda: self.desk.create_folder(parent, self)),)
        items = (MenuItem("Open", lambda: self._open(node)),)
        if files.fixed(node):
            return items
        return (
            *items,
            MenuItem("Rename", lambda: self.desk.start_naming(node, self)),
            MenuItem("Delete", lambda: self.desk.discard(node)),
        )

    def turn_wheel(self, dy: int) -> None:
        """Scroll by rows."""
        self._scroll_to(self._scroll - dy)

    def press_key(self, scancode: int) -> None:
        """Move the selection, open it, discard it, or go up."""
        shown = self.folder.shown
        row = shown.index(self._selected) if self._selected in shown else -1
        if scancode in (scancodes.UP, scancodes.DOWN) and shown:
            step = 1 if scancode == scancodes.DOWN else -1
            self._selected = shown[min(max(row + step, 0), len(shown) - 1)]
            self.show(self._selected)
        elif scancode == scancodes.BACKSPACE:
            self._go_up()
        elif row >= 0 and scancode in (scancodes.RETURN, scancodes.KEYPAD_RETURN):
            self._open(shown[row])
        elif row >= 0 and scancode == scancodes.F2:
            self.desk.start_naming(shown[row], self)
        elif row >= 0 and scancode == scancodes.DELETE and self.folder is not self._trash:
            self.desk.discard(shown[row])

    def paint(self, canvas: Frame, focused: bool) -> None:
        """Draw the bar with the path, then the rows."""
        fill_all(canvas, _PAPER[self.app])
        shown = self.folder.shown
        for row, node in enumerate(shown[self._scroll : self._scroll + self._fit]):
            self._paint_row(canvas, self._row(row), node)
        if not shown:
            text = _EMPTY.get(self.app, "This folder is empty")
            bar_px = self.desk.metrics.toolbar_px
            rest = Rect(0, bar_px, self.width_px, self.height_px - bar_px)
            write_centred(canvas, rest, text, FAINT_INK)
        bar = Rect(0, 0, self.width_px, self.desk.metrics.toolbar_px)
        fill(canvas, bar, STRIP)
        fill(canvas, self._up, (232, 234, 236))
        outline(canvas, self._up, FAINT_INK)
        inset_px = (self._up.width_px - 9) // 2
        paste(canvas, UP, self._up.x_px + inset_px, self._up.y_px + inset_px)
        files = self.desk.files
        place = "Trash" if self.folder is files.trash else files.path(self.folder, short=True)
        path = fit_text(place, self.width_px - 40)
        write(canvas, _NAME_FROM_PX, (bar.height_px - 7) // 2, path, INK)
        self._paint_bar(canvas, len(shown))

    @property
    def _trash(self) -> Folder:
        return self.desk.files.trash

    @property
    def _up(self) -> Rect:
        size_px = self.desk.metrics.toolbar_px * 3 // 4
        y_px = (self.desk.metrics.toolbar_px - size_px) // 2
        return Rect(4, y_px, size_px, size_px)

    @property
    def _fit(self) -> int:
        """How many rows are in sight."""
        metrics = self.desk.metrics
        return max(1, (self.height_px - metrics.toolbar_px - 4) // metrics.row_px)

    def _row(self, row: int) -> Rect:
        metrics = self.desk.metrics
        y_px = metrics.toolbar_px + 4 + metrics.row_px * row
        return Rect(0, y_px, self.width_px, metrics.row_px)

    def _node_at(self, y_px: int) -> Node | None:
        metrics = self.desk.metrics
        row = (y_px - metrics.toolbar_px - 4) // metrics.row_px
        shown = self.folder.shown[self._scroll :]
        return shown[row] if 0 <= row < min(len(shown), self._fit) else None

    def _open(self, node: Node) -> None:
        if isinstance(node, Folder):
            self._enter(node)
        else:
            self.desk.open_node(node)

    def _go_up(self) -> None:
        if self._folder.parent is not None and self.app != "Trash":
            self._enter(self._folder.parent)

    def _enter(self, folder: Folder) -> None:
        self._folder, self._selected, self._scroll = folder, None, 0

    def _scroll_to(self, row: int) -> None:
        self._scroll = max(0, min(row, len(self.folder.shown) - self._fit))

    def _paint_row(self, canvas: Frame, rect: Rect, node: Node) -> None:
        if node is self._selected:
            fill(canvas, rect, SELECTION)
        sprite = SMALL_FOLDER if isinstance(node, Folder) else SMALL_FILE
        paste(canvas, sprite, 8, rect.y_px + (rect.height_px - 16) // 2)
        naming, place = self.desk.naming, self.row_of(node)
        if naming is not None and naming.owner is self and naming.node is node and place:
            naming.field.paint(canvas, place, focused=True)
        else:
            text = fit_text(node.name, self.width_px - _NAME_FROM_PX - 8)
            write(canvas, _NAME_FROM_PX, rect.y_px + (rect.height_px - 7) // 2, text, INK)

    def _paint_bar(self, canvas: Frame, rows: int) -> None:
        """Draw where in the list one is, if it is longer than the window."""
        if rows <= self._fit:
            return
        top_px = self.desk.metrics.toolbar_px
        height_px = self.height_px - top_px
        fill(canvas, Rect(self.width_px - 6, top_px, 6, height_px), STRIP)
        thumb_px = max(8, height_px * self._fit // rows)
        y_px = top_px + (height_px - thumb_px) * self._scroll // (rows - self._fit)
        fill(canvas, Rect(self.width_px - 6, y_px, 5, thumb_px), FAINT_INK)
