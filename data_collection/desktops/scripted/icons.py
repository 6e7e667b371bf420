"""The icons on the desktop and the grid that they stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data_collection.desktops.scripted.apps import APPS, FOLDER, App
from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.sprites import ICON_SIZE_PX

SLOT_PX = 80
_MARGIN_PX = 8
_LABEL_PX = 16


@dataclass(frozen=True, slots=True)
class Icon:
    """One icon; ``rect`` takes in its label."""

    name: str
    app: App
    rect: Rect

    def to_json(self) -> dict[str, Any]:
        """Return the icon as a JSON object."""
        return {"name": self.name, "app": self.app.name, "rect": self.rect.to_json()}


class IconGrid:
    """The icons in the order of their slots: down the first column, then the next."""

    def __init__(self, names: tuple[str, ...], area: Rect) -> None:
        """Place the named apps on the grid that fits ``area``."""
        self._rows = (area.height_px - _MARGIN_PX) // SLOT_PX
        self._slots = self._rows * ((area.width_px - _MARGIN_PX) // SLOT_PX)
        self.icons: tuple[Icon, ...] = ()
        for name in names:
            self._add(name, APPS[name])

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders, in the order in which they were made."""
        return tuple(icon.name for icon in self.icons if icon.app is FOLDER)

    def at(self, x_px: int, y_px: int) -> Icon | None:
        """Return the icon at a point."""
        return next((icon for icon in self.icons if icon.rect.contains(x_px, y_px)), None)

    def add_folder(self) -> bool:
        """Make the next folder; False where every slot is taken."""
        count = len(self.folders) + 1
        return self._add("Folder" if count == 1 else f"Folder {count}", FOLDER)

    def _add(self, name: str, app: App) -> bool:
        index = len(self.icons)
        if index >= self._slots:
            return False
        x_px = _MARGIN_PX + SLOT_PX * (index // self._rows) + (SLOT_PX - ICON_SIZE_PX) // 2
        y_px = _MARGIN_PX + SLOT_PX * (index % self._rows)
        rect = Rect(x_px, y_px, ICON_SIZE_PX, ICON_SIZE_PX + _LABEL_PX)
        self.icons += (Icon(name, app, rect),)
        return True
