"""Open menus: which of the known ones they are, and where their items lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from data_collection.desktops.x11.windows import Rect

CREATE_FOLDER = "Create folder"
"""What a state calls the item that makes a folder, whatever it is called on the screen."""

_SEPARATOR_BELOW_PX = 12


@dataclass(frozen=True, slots=True)
class KnownMenu:
    """A menu of a desktop: its rows from top to bottom, None for a separator."""

    rows: tuple[str | None, ...]
    leads_to: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def items(self, rects: Sequence[Rect]) -> list[dict[str, Any]] | None:
        """Return the items where these rows lie; None if this is another menu."""
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


def menu_json(
    known: Sequence[KnownMenu], popups: Sequence[tuple[Rect, Sequence[Rect]]]
) -> dict[str, Any] | None:
    """Return the open menus as one: the outer rectangle and the items of all of them.

    A menu that nobody knows (of a program) has a rectangle and no items.
    """
    shown = [(rect, rows) for rect, rows in popups if rect[2] > 0]
    if not shown:
        return None
    items: list[dict[str, Any]] = []
    for _, rows in shown:
        items += next((found for menu in known if (found := menu.items(rows)) is not None), [])
    left = min(rect[0] for rect, _ in shown)
    top = min(rect[1] for rect, _ in shown)
    right = max(rect[0] + rect[2] for rect, _ in shown)
    bottom = max(rect[1] + rect[3] for rect, _ in shown)
    return {"rect": [left, top, right - left, bottom - top], "items": items}
