"""The tasks of a task user: each knows its goal, its next gesture and when it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from data_collection.events import Button
from data_collection.users.hand import Gesture, Hand
from data_collection.users.view import View, WindowView

CREATE_FOLDER_LABEL = "Create folder"
_MOST_FOLDERS = 6
_LEAST_DRAG_PX = 48
_ESCAPE = (41, "Escape")


class Task(Protocol):
    """One thing to get done; ``next`` looks at the screen again after each gesture."""

    @property
    def goal(self) -> str:
        """The task in a few words."""
        ...

    def reached(self, view: View) -> bool:
        """Say whether it is done."""
        ...

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Return the next gesture towards the goal."""
        ...


@dataclass(frozen=True, slots=True)
class OpenIcon:
    """Double-click an icon and wait until its window is there."""

    icon: str
    verb: str = "open"

    @property
    def goal(self) -> str:
        """The task in a few words."""
        return f"{self.verb} {self.icon}"

    def reached(self, view: View) -> bool:
        """Say whether the window is open."""
        return view.titled(self.icon) is not None

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Double-click the icon, uncovering it first; wait while it is being launched."""
        if view.launching is not None:
            return _wait(view, hand, rng)
        if view.menu is not None:
            return hand.tap_key(*_ESCAPE)
        rect = view.icons[self.icon]
        point = view.visible_point(rect, None, rng)
        if point is None:
            cover = view.window_at((rect.x_px + rect.width_px // 2, rect.y_px + 8))
            return _close(cover or view.windows[-1], view, hand, rng)
        return hand.move(*point) + hand.double_click() + hand.rest(1)


@dataclass(frozen=True, slots=True)
class CreateFolder:
    """Make a folder through the desktop's menu."""

    folders_before: int

    @property
    def goal(self) -> str:
        """The task in a few words."""
        return "create a folder"

    def reached(self, view: View) -> bool:
        """Say whether there is a folder more."""
        return view.folders > self.folders_before

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Open the menu on bare wallpaper, then choose the item."""
        item = view.menu_items.get(CREATE_FOLDER_LABEL)
        if item is not None:
            x_px = item.x_px + int(rng.integers(4, item.width_px - 4))
            y_px = item.y_px + int(rng.integers(4, item.height_px - 4))
            return hand.move(x_px, y_px) + hand.click()
        point = view.free_point(rng)
        if point is None:
            return _close(view.windows[-1], view, hand, rng)
        return hand.move(*point) + hand.click(Button.RIGHT) + hand.rest(int(rng.integers(1, 5)))


@dataclass(frozen=True, slots=True)
class DragWindow:
    """Move a window somewhere else by its title bar."""

    before: WindowView

    @property
    def goal(self) -> str:
        """The task in a few words."""
        return f"drag the {self.before.title} window"

    def reached(self, view: View) -> bool:
        """Say whether the window lies elsewhere and nobody holds it."""
        window = view.window(self.before.id)
        return window is not None and window.rect != self.before.rect and not view.dragging

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Take the title bar (raising the window first if needed) and drag it."""
        window = view.window(self.before.id)
        if view.menu is not None or window is None:
            return hand.tap_key(*_ESCAPE)
        grip = view.visible_point(window.grip, window, rng)
        if grip is None:
            return _raise(window, view, hand, rng)
        dx_px, dy_px = _new_place(window, view, rng)
        return hand.move(*grip) + hand.drag(grip[0] + dx_px, grip[1] + dy_px)


@dataclass(frozen=True, slots=True)
class CloseWindow:
    """Close a window by its button."""

    window: WindowView

    @property
    def goal(self) -> str:
        """The task in a few words."""
        return f"close the {self.window.title} window"

    def reached(self, view: View) -> bool:
        """Say whether the window is gone."""
        return view.window(self.window.id) is None

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Press the close button, raising the window first if needed."""
        window = view.window(self.window.id)
        if view.menu is not None or window is None:
            return hand.tap_key(*_ESCAPE)
        return _close(window, view, hand, rng)


KINDS = (
    "open_home",
    "open_trash",
    "launch_browser",
    "create_folder",
    "drag_window",
    "close_window",
)
"""What a task user may be told to do."""

_ICON_TASKS = {
    "open_home": OpenIcon("Home"),
    "open_trash": OpenIcon("Trash"),
    "launch_browser": OpenIcon("Browser", "launch"),
}


def begin(kind: str, view: View, rng: np.random.Generator) -> Task | None:
    """Return a task of one of ``KINDS``, or None where there is nothing of it to do now."""
    if kind in _ICON_TASKS:
        task = _ICON_TASKS[kind]
        possible = task.icon in view.icons and not task.reached(view)
        return task if possible else None
    if kind == "create_folder":
        return CreateFolder(view.folders) if view.folders < _MOST_FOLDERS else None
    if kind == "drag_window":
        movable = [window for window in view.windows if _can_move(window, view)]
        return DragWindow(movable[int(rng.integers(len(movable)))]) if movable else None
    windows = view.windows
    return CloseWindow(windows[int(rng.integers(len(windows)))]) if windows else None


def _wait(view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
    """Rest for a moment or move a little, as people do before a busy cursor."""
    if rng.random() < 0.6:
        return hand.rest(int(rng.integers(2, 7)))
    area = view.work_area
    x_px = hand.x_px + int(rng.integers(-80, 81))
    y_px = hand.y_px + int(rng.integers(-60, 61))
    return hand.move(
        min(max(x_px, area.x_px), area.x_px + area.width_px - 1),
        min(max(y_px, area.y_px), area.y_px + area.height_px - 1),
    )


def _close(window: WindowView, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
    point = view.visible_point(window.close_button, window, rng)
    if point is None:
        return _raise(window, view, hand, rng)
    return hand.move(*point) + hand.click()


def _raise(window: WindowView, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
    """Click on what shows of a window; where nothing does, close the one on top."""
    below_bar_px = window.title_bar.height_px
    point = view.visible_point(window.grip, window, rng) or view.visible_point(
        window.rect, window, rng
    )
    if point is None:
        return _close(view.windows[-1], view, hand, rng)
    on_close = window.close_button.contains(*point)
    return hand.move(point[0], point[1] + (below_bar_px if on_close else 0)) + hand.click()


def _can_move(window: WindowView, view: View) -> bool:
    area = view.work_area
    room_px = max(area.width_px - window.rect.width_px, area.height_px - window.rect.height_px)
    return room_px >= 2 * _LEAST_DRAG_PX


def _new_place(window: WindowView, view: View, rng: np.random.Generator) -> tuple[int, int]:
    """Return a random way to go, far enough to be seen, that keeps the window inside."""
    area, rect = view.work_area, window.rect
    while True:
        dx_px = int(rng.integers(area.width_px - rect.width_px + 1)) - rect.x_px
        dy_px = int(rng.integers(area.height_px - rect.height_px + 1)) - rect.y_px
        if max(abs(dx_px), abs(dy_px)) >= _LEAST_DRAG_PX:
            return dx_px, dy_px
