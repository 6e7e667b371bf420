"""The menus of the desktop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_collection.desktops.scripted.font import text_width_px
from data_collection.desktops.scripted.geometry import Rect, snapped
from data_collection.desktops.scripted.metrics import Metrics

_BORDER_PX = 4
_INDENT_PX = 8


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One line of a menu, and what choosing it does."""

    label: str
    choose: Callable[[], None] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Menu:
    """An open menu."""

    rect: Rect
    items: tuple[MenuItem, ...]
    item_px: int

    @property
    def rects(self) -> tuple[Rect, ...]:
        """Where each item is."""
        x_px, y_px = self.rect.x_px + _BORDER_PX, self.rect.y_px + _BORDER_PX
        width_px = self.rect.width_px - 2 * _BORDER_PX
        return tuple(
            Rect(x_px, y_px + self.item_px * row, width_px, self.item_px)
            for row in range(len(self.items))
        )

    def row_at(self, x_px: int, y_px: int) -> int | None:
        """Return the number of the item at a point."""
        return next((row for row, rect in enumerate(self.rects) if rect.contains(x_px, y_px)), None)

    def to_json(self) -> dict[str, Any]:
        """Return the menu as a JSON object."""
        items = [
            {"label": item.label, "rect": rect.to_json()}
            for item, rect in zip(self.items, self.rects, strict=True)
        ]
        return {"rect": self.rect.to_json(), "items": items}


def menu_at(
    x_px: int, y_px: int, items: Sequence[MenuItem], area: Rect, snap_px: int, metrics: Metrics
) -> Menu:
    """Return a menu opened at a point, snapped and kept inside ``area``."""
    text_px = max(text_width_px(item.label) for item in items) + 2 * (_BORDER_PX + _INDENT_PX)
    width_px = min(max(metrics.menu_width_px, text_px), area.width_px)
    item_px = min(metrics.menu_item_px, (area.height_px - 2 * _BORDER_PX) // len(items))
    height_px = item_px * len(items) + 2 * _BORDER_PX
    rect = Rect(snapped(x_px, snap_px), snapped(y_px, snap_px), width_px, height_px)
    return Menu(rect.moved_into(area), tuple(items), item_px)
