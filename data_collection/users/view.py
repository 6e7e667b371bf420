"""A desktop's readable state as a task user sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from data_collection.desktops.scripted.geometry import Rect
from data_collection.users.view_parts import (
    BrowserView,
    MenuItemView,
    NamingView,
    TerminalView,
    WindowView,
    rect_of,
)

Point = tuple[int, int]
_TRIES = 40


class UnreadableDesktop(ValueError):
    """The desktop has no readable state, so a task user cannot find anything on it."""


@dataclass(frozen=True, slots=True)
class View:
    """What is on the screen."""

    tick: int
    pointer: Point
    work_area: Rect
    icons: dict[str, Rect]
    free_slots: int | None
    """How many more icons there is room for, where the desktop tells it."""
    folders: tuple[str, ...]
    windows: tuple[WindowView, ...]
    """Those that are shown, from the lowest to the topmost."""
    minimised: tuple[WindowView, ...]
    taskbar: dict[int, Rect]
    """The buttons of windows by their ids, where the desktop tells them."""
    launching: str | None
    dragging: bool
    menu: Rect | None
    menu_items: dict[str, MenuItemView]
    naming: NamingView | None
    terminal: TerminalView | None
    browser: BrowserView | None

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> View:
        """Read a desktop's ``state()``; only screen, cursor and windows have to be there.

        Raises:
            UnreadableDesktop: the state is empty or lacks something.
        """
        try:
            area = Rect(*state["screen"]["work_area"])
            windows = [WindowView.from_state(window, area) for window in state["windows"]]
            menu, launching = state.get("menu"), state.get("launching")
            naming, terminal = state.get("naming"), state.get("terminal")
            browser = state.get("browser")
            return cls(
                tick=int(state.get("tick") or 0),
                pointer=(state["cursor"]["x_px"], state["cursor"]["y_px"]),
                work_area=area,
                icons={icon["name"]: Rect(*icon["rect"]) for icon in state.get("icons") or ()},
                free_slots=state.get("free_slots"),
                folders=tuple(state.get("folders") or ()),
                windows=tuple(window for window in windows if not window.minimised),
                minimised=tuple(window for window in windows if window.minimised),
                taskbar={b["id"]: Rect(*b["rect"]) for b in state.get("taskbar") or ()},
                launching=launching["app"] if launching else None,
                dragging=state.get("dragging") is not None,
                menu=rect_of(menu["rect"]) if menu else None,
                menu_items=_menu_items(menu["items"]) if menu else {},
                naming=NamingView.from_state(naming) if naming else None,
                terminal=TerminalView.from_state(terminal) if terminal else None,
                browser=BrowserView.from_state(browser) if browser else None,
            )
        except (KeyError, TypeError) as error:
            raise UnreadableDesktop(f"the desktop's state lacks {error}") from None

    def window(self, window_id: int) -> WindowView | None:
        """Return a window that is shown."""
        return next((w for w in self.windows if w.id == window_id), None)

    def showing(self, name: str) -> WindowView | None:
        """Return the topmost window of an app, or of a folder by its title."""
        wanted = name.lower()
        return next((w for w in reversed(self.windows) if w.app == wanted or w.title == name), None)

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
            point = random_point(rect, rng)
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


def random_point(rect: Rect, rng: np.random.Generator) -> Point:
    """Return a random point of a rectangle, off its very edge where it is large enough."""
    inset_x_px = 2 if rect.width_px > 4 else 0
    inset_y_px = 2 if rect.height_px > 4 else 0
    return (
        rect.x_px + inset_x_px + int(rng.integers(max(1, rect.width_px - 2 * inset_x_px))),
        rect.y_px + inset_y_px + int(rng.integers(max(1, rect.height_px - 2 * inset_y_px))),
    )


def _menu_items(items: list[dict[str, Any]]) -> dict[str, MenuItemView]:
    return {item["label"]: MenuItemView.from_state(item) for item in items if item.get("rect")}
