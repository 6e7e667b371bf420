"""A desktop's readable state as a task user sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from data_collection.desktops.scripted.geometry import Rect

Point = tuple[int, int]
_TRIES = 40


class UnreadableDesktop(ValueError):
    """The desktop has no readable state, so a task user cannot find anything on it."""


@dataclass(frozen=True, slots=True)
class WindowView:
    """An open window."""

    id: int
    title: str
    rect: Rect
    title_bar: Rect
    close_button: Rect

    @property
    def grip(self) -> Rect:
        """The part of the title bar left of its close button."""
        bar = self.title_bar
        return Rect(bar.x_px, bar.y_px, self.close_button.x_px - bar.x_px, bar.height_px)


@dataclass(frozen=True, slots=True)
class View:
    """What is on the screen."""

    pointer: Point
    work_area: Rect
    icons: dict[str, Rect]
    folders: int
    windows: tuple[WindowView, ...]
    """From the lowest to the topmost."""
    launching: str | None
    dragging: bool
    menu: Rect | None
    menu_items: dict[str, Rect]

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> View:
        """Read a desktop's ``state()``.

        Raises:
            UnreadableDesktop: the state is empty or lacks something.
        """
        try:
            menu = state["menu"]
            return cls(
                pointer=(state["cursor"]["x_px"], state["cursor"]["y_px"]),
                work_area=Rect(*state["screen"]["work_area"]),
                icons={icon["name"]: Rect(*icon["rect"]) for icon in state["icons"]},
                folders=len(state["folders"]),
                windows=tuple(
                    WindowView(
                        window["id"],
                        window["title"],
                        Rect(*window["rect"]),
                        Rect(*window["title_bar"]),
                        Rect(*window["close_button"]),
                    )
                    for window in state["windows"]
                ),
                launching=state["launching"] and state["launching"]["app"],
                dragging=state["dragging"] is not None,
                menu=Rect(*menu["rect"]) if menu else None,
                menu_items={i["label"]: Rect(*i["rect"]) for i in menu["items"]} if menu else {},
            )
        except (KeyError, TypeError) as error:
            raise UnreadableDesktop(f"the desktop's state lacks {error}") from None

    def window(self, window_id: int) -> WindowView | None:
        """Return an open window."""
        return next((w for w in self.windows if w.id == window_id), None)

    def titled(self, title: str) -> WindowView | None:
        """Return the open window of that title."""
        return next((w for w in self.windows if w.title == title), None)

    def window_at(self, point: Point) -> WindowView | None:
        """Return the topmost window at a point."""
        return next((w for w in reversed(self.windows) if w.rect.contains(*point)), None)

    def visible_point(
        self, rect: Rect, owner: WindowView | None, rng: np.random.Generator
    ) -> Point | None:
        """Return a random point of ``rect`` that no other window covers, off its very edge.

        Args:
            rect: where to look.
            owner: the window that the rectangle is part of; None for the desktop.
            rng: draws the point.

        Returns:
            None where (almost) all of it is covered.
        """
        for _ in range(_TRIES):
            point = (
                rect.x_px + int(rng.integers(2, max(3, rect.width_px - 2))),
                rect.y_px + int(rng.integers(2, max(3, rect.height_px - 2))),
            )
            if self.window_at(point) == owner:
                return point
        return None

    def free_point(self, rng: np.random.Generator) -> Point | None:
        """Return a random point of the bare wallpaper; None where (almost) none is left."""
        for _ in range(_TRIES):
            point = self.visible_point(self.work_area, None, rng)
            if point and not any(rect.contains(*point) for rect in self.icons.values()):
                return point
        return None
