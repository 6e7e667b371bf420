"""What every app's window content offers, and what it may ask of the desktop."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from data_collection.desktops.scripted.drawing import Colour
from data_collection.desktops.scripted.filesystem import FileSystem, Folder, Node
from data_collection.desktops.scripted.menu import MenuItem
from data_collection.desktops.scripted.metrics import Metrics
from data_collection.desktops.scripted.naming import Naming
from data_collection.trace import Frame

INK: Colour = (24, 28, 36)
FAINT_INK: Colour = (112, 116, 124)
STRIP: Colour = (200, 204, 208)
SELECTION: Colour = (176, 208, 248)


class Desk(Protocol):
    """The desktop as its apps see it."""

    files: FileSystem
    metrics: Metrics
    naming: Naming | None

    def double(self, target: Hashable) -> bool:
        """Note a press on a target; say whether it completes a double click."""
        ...

    def open_node(self, node: Node) -> None:
        """Show a folder or file in a window."""
        ...

    def create_folder(self, parent: Folder, owner: object | None) -> None:
        """Make a folder of the default name and ask for another one, in ``owner``'s window."""
        ...

    def start_naming(self, node: Node, owner: object | None) -> None:
        """Ask for a node's new name."""
        ...

    def discard(self, node: Node) -> None:
        """Move a node to the trash."""
        ...


class Content:
    """A window's content; points are relative to its top left corner.

    ``look`` is all that ``paint`` depends on, so that a picture can be kept.
    """

    app = ""

    def __init__(self, desk: Desk) -> None:
        """Store the desktop; the size comes with ``resize``."""
        self.desk = desk
        self.width_px = 0
        self.height_px = 0

    @property
    def title(self) -> str:
        """What stands in the title bar."""
        return self.app

    @property
    def look(self) -> Hashable:
        """What the picture depends on, besides size and focus."""
        return ()

    def paint(self, canvas: Frame, focused: bool) -> None:
        """Draw on a canvas of the content's size."""

    def resize(self, width_px: int, height_px: int) -> None:
        """Take over a new size."""
        self.width_px, self.height_px = width_px, height_px

    def press(self, x_px: int, y_px: int) -> None:
        """Take a press of the left button."""

    def menu_items(self, x_px: int, y_px: int) -> tuple[MenuItem, ...]:
        """Return what the menu of a right click at a point offers."""
        return ()

    def turn_wheel(self, dy: int) -> None:
        """Scroll; positive is up."""

    def type_text(self, text: str) -> None:
        """Take typed text."""

    def press_key(self, scancode: int) -> None:
        """Take a key that went down, or is held."""
