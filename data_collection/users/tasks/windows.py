"""Tasks with a window: drag, resize, maximise, minimise, restore, close."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_collection.users.hand import Gesture, Hand
from data_collection.users.tasks.steps import (
    click_at,
    click_in,
    close,
    escape,
    raise_window,
    settle,
)
from data_collection.users.view import View
from data_collection.users.view_parts import WindowView

_LEAST_DRAG_PX = 48
_LEAST_CHANGE_PX = 8
_LEAST_SIZE_PX = (160, 112)


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
        if window is None or view.dragging:
            return False
        old, new = self.before.rect, window.rect
        return max(abs(old.x_px - new.x_px), abs(old.y_px - new.y_px)) >= _LEAST_CHANGE_PX

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Take the title bar (raising the window first if needed) and drag it."""
        window = view.window(self.before.id)
        if view.menu is not None or window is None or window.grip is None:
            return escape(hand, rng)
        grip = view.visible_point(window.grip, window, rng)
        if grip is None:
            return raise_window(window, view, hand, rng)
        dx_px, dy_px = _new_place(window, view, rng)
        way = hand.move(*grip) + hand.drag(grip[0] + dx_px, grip[1] + dy_px)
        return way + settle(hand, rng)


@dataclass(frozen=True, slots=True)
class ResizeWindow:
    """Make a window larger or smaller by its corner."""

    before: WindowView

    @property
    def goal(self) -> str:
        """The task in a few words."""
        return f"resize the {self.before.title} window"

    def reached(self, view: View) -> bool:
        """Say whether the window has another size and nobody holds it."""
        window = view.window(self.before.id)
        if window is None or view.dragging:
            return False
        old, new = self.before.rect, window.rect
        wider_px, higher_px = new.width_px - old.width_px, new.height_px - old.height_px
        return max(abs(wider_px), abs(higher_px)) >= _LEAST_CHANGE_PX

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Take the corner (raising the window first if needed) and drag it."""
        window = view.window(self.before.id)
        if view.menu is not None or window is None or window.resize_corner is None:
            return escape(hand, rng)
        corner = view.visible_point(window.resize_corner, window, rng)
        if corner is None:
            return raise_window(window, view, hand, rng)
        dx_px, dy_px = _new_size(window, view, rng)
        way = hand.move(*corner) + hand.drag(corner[0] + dx_px, corner[1] + dy_px)
        return way + settle(hand, rng)


@dataclass(frozen=True, slots=True)
class MaximiseWindow:
    """Let a window fill the screen, or put it back: by its button or a double click."""

    before: WindowView

    @property
    def goal(self) -> str:
        """The task in a few words."""
        verb = "put back" if self.before.maximised else "maximise"
        return f"{verb} the {self.before.title} window"

    def reached(self, view: View) -> bool:
        """Say whether the window changed over."""
        window = view.window(self.before.id)
        return window is not None and window.maximised != self.before.maximised

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Press the button or double-click the title bar, raising the window first if needed."""
        window = view.window(self.before.id)
        if view.menu is not None or window is None:
            return escape(hand, rng)
        by_title = window.maximise_button is None or rng.random() < 0.5
        rect = window.grip if by_title else window.maximise_button
        point = view.visible_point(rect, window, rng) if rect is not None else None
        if point is None:
            return raise_window(window, view, hand, rng)
        if by_title:
            # A press on the title bar just before would count as the first of the two.
            return hand.move(*point) + hand.rest(7) + hand.double_click() + settle(hand, rng)
        return click_at(point, hand, rng)


@dataclass(frozen=True, slots=True)
class MinimiseWindow:
    """Send a window to the taskbar."""

    before: WindowView

    @property
    def goal(self) -> str:
        """The task in a few words."""
        return f"minimise the {self.before.title} window"

    def reached(self, view: View) -> bool:
        """Say whether the window is no longer shown."""
        return view.window(self.before.id) is None

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Press the button, raising the window first if needed."""
        window = view.window(self.before.id)
        if view.menu is not None or window is None or window.minimise_button is None:
            return escape(hand, rng)
        point = view.visible_point(window.minimise_button, window, rng)
        if point is None:
            return raise_window(window, view, hand, rng)
        return click_at(point, hand, rng)


@dataclass(frozen=True, slots=True)
class RestoreWindow:
    """Bring a window back from the taskbar."""

    before: WindowView

    @property
    def goal(self) -> str:
        """The task in a few words."""
        return f"restore the {self.before.title} window"

    def reached(self, view: View) -> bool:
        """Say whether the window is shown."""
        return view.window(self.before.id) is not None

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Press its button in the taskbar."""
        button = view.taskbar.get(self.before.id)
        if view.menu is not None or button is None:
            return escape(hand, rng)
        return click_in(button, hand, rng)


@dataclass(frozen=True, slots=True)
class CloseWindow:
    """Close a window."""

    window: WindowView

    @property
    def goal(self) -> str:
        """The task in a few words."""
        return f"close the {self.window.title} window"

    def reached(self, view: View) -> bool:
        """Say whether the window is gone."""
        return view.window(self.window.id) is None

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Close it, raising it first if needed."""
        window = view.window(self.window.id)
        if view.menu is not None or window is None:
            return escape(hand, rng)
        return close(window, view, hand, rng)


def can_move(window: WindowView, view: View) -> bool:
    """Say whether there is room to drag a window far enough."""
    area = view.work_area
    room_px = max(area.width_px - window.rect.width_px, area.height_px - window.rect.height_px)
    return window.grip is not None and not window.maximised and room_px >= 2 * _LEAST_DRAG_PX


def can_resize(window: WindowView, view: View) -> bool:
    """Say whether a window has a corner to take and room for another size."""
    area, rect = view.work_area, window.rect
    smaller = any(
        size - least >= 2 * _LEAST_CHANGE_PX
        for size, least in zip((rect.width_px, rect.height_px), _LEAST_SIZE_PX, strict=True)
    )
    wider = area.right_px - rect.right_px >= 2 * _LEAST_CHANGE_PX
    return window.resize_corner is not None and not window.maximised and (smaller or wider)


def _new_place(window: WindowView, view: View, rng: np.random.Generator) -> tuple[int, int]:
    """Return a random way to go, far enough to be seen, that keeps the window inside."""
    area, rect = view.work_area, window.rect
    ways = [
        (
            area.x_px + int(rng.integers(max(1, area.width_px - rect.width_px + 1))) - rect.x_px,
            area.y_px + int(rng.integers(max(1, area.height_px - rect.height_px + 1))) - rect.y_px,
        )
        for _ in range(20)
    ]
    far = [way for way in ways if max(abs(way[0]), abs(way[1])) >= _LEAST_DRAG_PX]
    return far[0] if far else max(ways, key=lambda way: max(abs(way[0]), abs(way[1])))


def _new_size(window: WindowView, view: View, rng: np.random.Generator) -> tuple[int, int]:
    """Return how far to drag the corner, inside the work area and not too small."""
    area, rect = view.work_area, window.rect
    least_px = [
        min(size, now) for size, now in zip(_LEAST_SIZE_PX, rect.to_json()[2:], strict=True)
    ]
    ways = []
    for _ in range(20):
        right_px = int(rng.integers(rect.x_px + least_px[0], area.right_px + 1))
        bottom_px = int(rng.integers(rect.y_px + least_px[1], area.bottom_px + 1))
        ways.append((right_px - rect.right_px, bottom_px - rect.bottom_px))
    far = [way for way in ways if max(abs(way[0]), abs(way[1])) >= 3 * _LEAST_CHANGE_PX]
    return far[0] if far else max(ways, key=lambda way: max(abs(way[0]), abs(way[1])))
