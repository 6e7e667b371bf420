"""The apps of the scripted desktop: how each one's icon and window look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from data_collection.desktops.scripted.drawing import (
    Colour,
    fill,
    outline,
    paste,
    write,
    write_centred,
)
from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.sprites import SMALL_FOLDER
from data_collection.trace import Frame

INK: Colour = (24, 28, 36)
_FAINT_INK: Colour = (112, 116, 124)
_PAPER: Colour = (240, 240, 232)
_STRIP: Colour = (200, 204, 208)
_FILE: Colour = (96, 144, 208)

_HOME_FOLDERS = ("Documents", "Pictures", "Music")
_HOME_FILES = ("notes.txt", "report.pdf")
_PAGE_LINES = (
    "A small page on a small screen.",
    "It took a while to get here, and",
    "it looks the same each time.",
)


@dataclass(frozen=True, slots=True)
class App:
    """One app: its icon, its window, and whether it needs ``launch_frames`` to start."""

    name: str
    icon: str
    width_px: int
    height_px: int
    paint: Callable[[Frame], None]
    """Draws the content of a window on a canvas of the content's size."""
    slow: bool = False


def _paint_home(canvas: Frame) -> None:
    canvas[:] = _PAPER
    width_px = canvas.shape[1]
    fill(canvas, Rect(0, 0, width_px, 16), _STRIP)
    write(canvas, 32, 5, "Name", _FAINT_INK)
    for row, name in enumerate(_HOME_FOLDERS + _HOME_FILES):
        y_px = 24 + 24 * row
        if name in _HOME_FOLDERS:
            paste(canvas, SMALL_FOLDER, 8, y_px)
        else:
            fill(canvas, Rect(10, y_px, 12, 16), _FILE)
            outline(canvas, Rect(10, y_px, 12, 16), INK)
        write(canvas, 32, y_px + 5, name, INK)


def _paint_browser(canvas: Frame) -> None:
    canvas[:] = (236, 238, 242)
    width_px = canvas.shape[1]
    fill(canvas, Rect(0, 0, width_px, 24), _STRIP)
    write(canvas, 8, 8, "<", INK)
    write(canvas, 24, 8, ">", INK)
    address = Rect(40, 4, width_px - 48, 16)
    fill(canvas, address, (255, 255, 255))
    outline(canvas, address, _FAINT_INK)
    write(canvas, 46, 9, "http://start.example/", INK)
    heading = Rect(16, 40, width_px - 32, 48)
    fill(canvas, heading, (72, 168, 112))
    write_centred(canvas, heading, "Welcome", (255, 255, 255), scale=2)
    for row, line in enumerate(_PAGE_LINES):
        write(canvas, 16, 104 + 16 * row, line, INK)
    fill(canvas, Rect(16, 160, 80, 40), (232, 120, 88))
    fill(canvas, Rect(120, 160, 80, 40), (88, 144, 224))
    fill(canvas, Rect(224, 160, 80, 40), (240, 200, 80))


def _paint_trash(canvas: Frame) -> None:
    canvas[:] = (224, 220, 228)
    write_centred(
        canvas, Rect(0, 0, canvas.shape[1], canvas.shape[0]), "Trash is empty", _FAINT_INK
    )


def _paint_folder(canvas: Frame) -> None:
    canvas[:] = (248, 236, 200)
    write_centred(
        canvas, Rect(0, 0, canvas.shape[1], canvas.shape[0]), "This folder is empty", _FAINT_INK
    )


APPS: dict[str, App] = {
    app.name: app
    for app in (
        App("Home", "house", 240, 176, _paint_home),
        App("Browser", "globe", 320, 240, _paint_browser, slow=True),
        App("Trash", "bin", 208, 128, _paint_trash),
    )
}
"""What ``ScriptedConfig.icons`` may name."""

FOLDER = App("Folder", "folder", 208, 128, _paint_folder)
"""The window of a folder that was made on the desktop."""
