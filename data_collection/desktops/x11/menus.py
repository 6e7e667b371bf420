"""Open menus: which of the known ones they are, and where their items lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from data_collection.desktops.x11.popups import Popup
from data_collection.desktops.x11.windows import Rect

CREATE_FOLDER = "Create folder"
"""What a state calls the item that makes a folder, whatever it is called on the screen."""

_SEPARATOR_BELOW_PX = 12


@dataclass(frozen=True, slots=True)
class RowHeights:
    """How high a menu draws its rows, where its settings fix that."""

    item_px: int
    separator_px: int
    margin_px: int
    """Above the first row and below the last one."""


@dataclass(frozen=True, slots=True)
class KnownMenu:
    """A menu of a desktop.

    Attributes:
        program: class of the program that shows it.
        rows: its rows from top to bottom, None for a separator.
        leads_to: of an item that opens another menu, the items in there.
        heights: of its rows; None where each row is a window of its own.
    """

    program: str
    rows: tuple[str | None, ...]
    leads_to: dict[str, tuple[str, ...]] = field(default_factory=dict)
    heights: RowHeights | None = None

    def items(self, popup: Popup) -> list[dict[str, Any]] | None:
        """Return the items where these rows lie; None if this is another menu."""
        if popup.program.lower() != self.program:
            return None
        rects = popup.rows if self.heights is None else self._computed(popup.rect, self.heights)
        separators = [rect[3] < _SEPARATOR_BELOW_PX for rect in rects]
        if separators != [row is None for row in self.rows]:
            return None
        return [
            {
                "label": row,
                "rect": list(rect),
                "leads_to": list(self.leads_to.get(row, ())),
            }
            for row, rect in zip(self.rows, rects, strict=True)
            if row is not None
        ]

    def _computed(self, rect: Rect, heights: RowHeights) -> list[Rect]:
        """Return where the rows lie in a menu of this place; nothing if they do not fill it."""
        rows = list[Rect]()
        x_px, y_px, width_px, height_px = rect
        at_px = y_px + heights.margin_px
        for row in self.rows:
            row_px = heights.separator_px if row is None else heights.item_px
            rows.append((x_px + 1, at_px, width_px - 2, row_px))
            at_px += row_px
        return rows if at_px + heights.margin_px == y_px + height_px else []


def menu_json(known: Sequence[KnownMenu], popups: Sequence[Popup]) -> dict[str, Any] | None:
    """Return the open menus as one: the outer rectangle and the items of all of them.

    A menu that nobody knows (of a program) has a rectangle and no items.
    """
    shown = [popup for popup in popups if popup.rect[2] > 0]
    if not shown:
        return None
    items: list[dict[str, Any]] = []
    for popup in shown:
        items += next((found for menu in known if (found := menu.items(popup)) is not None), [])
    left = min(popup.rect[0] for popup in shown)
    top = min(popup.rect[1] for popup in shown)
    right = max(popup.rect[0] + popup.rect[2] for popup in shown)
    bottom = max(popup.rect[1] + popup.rect[3] for popup in shown)
    return {"rect": [left, top, right - left, bottom - top], "items": items}
