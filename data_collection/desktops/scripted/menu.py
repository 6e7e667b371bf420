"""The context menu of the desktop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from data_collection.desktops.scripted.geometry import Rect, snapped

_WIDTH_PX = 128
_ITEM_PX = 24
_BORDER_PX = 4


class MenuItem(str, Enum):
    """What the menu offers, from top to bottom."""

    CREATE_FOLDER = "Create folder"
    OPEN_HOME = "Open Home"


@dataclass(frozen=True, slots=True)
class Menu:
    """An open menu."""

    rect: Rect

    @property
    def items(self) -> tuple[tuple[MenuItem, Rect], ...]:
        """Each item with its rectangle."""
        x_px, y_px = self.rect.x_px + _BORDER_PX, self.rect.y_px + _BORDER_PX
        width_px = self.rect.width_px - 2 * _BORDER_PX
        return tuple(
            (item, Rect(x_px, y_px + _ITEM_PX * row, width_px, _ITEM_PX))
            for row, item in enumerate(MenuItem)
        )

    def item_at(self, x_px: int, y_px: int) -> MenuItem | None:
        """Return the item at a point."""
        return next((item for item, rect in self.items if rect.contains(x_px, y_px)), None)

    def to_json(self) -> dict[str, Any]:
        """Return the menu as a JSON object."""
        items = [{"label": item.value, "rect": rect.to_json()} for item, rect in self.items]
        return {"rect": self.rect.to_json(), "items": items}


def menu_at(x_px: int, y_px: int, area: Rect, snap_px: int) -> Menu:
    """Return a menu opened at a point, snapped and kept inside ``area``."""
    height_px = _ITEM_PX * len(MenuItem) + 2 * _BORDER_PX
    rect = Rect(snapped(x_px, snap_px), snapped(y_px, snap_px), _WIDTH_PX, height_px)
    return Menu(rect.moved_into(area))
