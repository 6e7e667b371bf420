"""The apps of the scripted desktop by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from data_collection.desktops.scripted.apps.browser import Browser
from data_collection.desktops.scripted.apps.content import Content, Desk
from data_collection.desktops.scripted.apps.files import FileManager
from data_collection.desktops.scripted.apps.terminal import Terminal


@dataclass(frozen=True, slots=True)
class App:
    """One app: its icon, its window, and whether it needs ``launch_frames`` to start."""

    name: str
    sprite: str
    width_px: int
    height_px: int
    make: Callable[[Desk], Content]
    slow: bool = False


APPS: dict[str, App] = {
    app.name: app
    for app in (
        App("Home", "house", 240, 176, lambda desk: FileManager(desk, "Home", desk.files.home)),
        App("Browser", "globe", 320, 240, Browser, slow=True),
        App("Trash", "bin", 208, 128, lambda desk: FileManager(desk, "Trash", desk.files.trash)),
        App("Terminal", "screen", 304, 200, Terminal),
    )
}
"""What ``ScriptedConfig.icons`` may name."""

FOLDER = App(
    "Folder", "folder", 208, 128, lambda desk: FileManager(desk, "Folder", desk.files.desktop)
)
"""The window of a folder on the desktop; the desktop hands it the folder."""

VIEWER_SIZE_PX = (240, 144)
