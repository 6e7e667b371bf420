"""The windows of the scripted desktop and their stacking order."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from data_collection.desktops.scripted.apps.content import Content
from data_collection.desktops.scripted.geometry import Rect, snapped
from data_collection.desktops.scripted.metrics import Metrics

_CASCADE = ((112, 24), (160, 72), (128, 96), (176, 48))
_EDGE_PX = 3
_BUTTON_GAP_PX = 4


@dataclass(slots=True, eq=False)
class Window:
    """One open window."""

    id: int
    key: Hashable
    """What it shows, so that it is opened once."""
    content: Content
    rect: Rect
    metrics: Metrics
    minimised: bool = False
    restore: Rect | None = None
    """Where it goes back to when it is no longer maximised."""

    @property
    def maximised(self) -> bool:
        """Whether it fills the work area."""
        return self.restore is not None

    @property
    def title_bar(self) -> Rect:
        """The strip by which it is dragged, buttons included."""
        return replace(self.rect, height_px=self.metrics.title_bar_px)

    @property
    def inner(self) -> Rect:
        """Where its content is drawn."""
        bar_px = self.metrics.title_bar_px
        rect = self.rect
        return Rect(rect.x_px, rect.y_px + bar_px, rect.width_px, rect.height_px - bar_px)

    @property
    def close_button(self) -> Rect:
        """The button that closes it."""
        return self._button(1)

    @property
    def maximise_button(self) -> Rect:
        """The button that maximises it, or puts it back."""
        return self._button(2)

    @property
    def minimise_button(self) -> Rect:
        """The button that leaves it in the taskbar only."""
        return self._button(3)

    @property
    def resize_corner(self) -> Rect:
        """The corner at the bottom right by which it is resized."""
        size_px = self.metrics.corner_px
        return Rect(self.rect.right_px - size_px, self.rect.bottom_px - size_px, size_px, size_px)

    def edges_at(self, x_px: int, y_px: int) -> str:
        """Return the edges that a press at a point takes: of ``l``, ``r`` and ``b``."""
        if self.resize_corner.contains(x_px, y_px):
            return "rb"
        if self.title_bar.contains(x_px, y_px):
            return ""
        left = "l" * (x_px < self.rect.x_px + _EDGE_PX)
        right = "r" * (x_px >= self.rect.right_px - _EDGE_PX)
        return left + right + "b" * (y_px >= self.rect.bottom_px - _EDGE_PX)

    def to_json(self, z: int, focused: bool) -> dict[str, Any]:
        """Return the window as a JSON object; ``z`` counts from the lowest."""
        return {
            "id": self.id,
            "app": self.content.app,
            "title": self.content.title,
            "rect": self.rect.to_json(),
            "title_bar": self.title_bar.to_json(),
            "close_button": self.close_button.to_json(),
            "minimise_button": self.minimise_button.to_json(),
            "maximise_button": self.maximise_button.to_json(),
            "resize_corner": None if self.maximised else self.resize_corner.to_json(),
            "z": z,
            "focused": focused,
            "minimised": self.minimised,
            "maximised": self.maximised,
        }

    def _button(self, place: int) -> Rect:
        size_px = self.metrics.button_px
        top_px = (self.metrics.title_bar_px - size_px) // 2
        x_px = self.rect.right_px - place * (size_px + _BUTTON_GAP_PX)
        return Rect(x_px, self.rect.y_px + top_px, size_px, size_px)


class WindowStack:
    """The open windows from the lowest to the topmost, and which one has the focus.

    Minimised windows lie at the bottom and are neither seen nor pressed.
    """

    def __init__(self, area: Rect, snap_px: int, metrics: Metrics) -> None:
        """Start empty; windows stay inside ``area``, on multiples of ``snap_px``."""
        self._area = area
        self._snap_px = snap_px
        self._metrics = metrics
        self._windows: list[Window] = []
        self._next_id = 1
        self.focused: int | None = None

    def __iter__(self) -> Iterator[Window]:
        """Go from the lowest window to the topmost."""
        return iter(self._windows)

    @property
    def shown(self) -> list[Window]:
        """The windows that are not minimised, from the lowest to the topmost."""
        return [window for window in self._windows if not window.minimised]

    @property
    def focus(self) -> Window | None:
        """The window that has the focus."""
        return self.by_id(self.focused) if self.focused is not None else None

    @property
    def full(self) -> bool:
        """Whether no further window may be opened."""
        return len(self._windows) >= self._metrics.most_windows

    def by_id(self, window_id: int) -> Window | None:
        """Return the window of that number."""
        return next((window for window in self._windows if window.id == window_id), None)

    def at(self, x_px: int, y_px: int) -> Window | None:
        """Return the topmost window at a point."""
        return next((w for w in reversed(self.shown) if w.rect.contains(x_px, y_px)), None)

    def of(self, key: Hashable) -> Window | None:
        """Return the window that shows this."""
        return next((window for window in self._windows if window.key == key), None)

    def open(self, key: Hashable, content: Content, width_px: int, height_px: int) -> Window:
        """Open a window on top; its place depends only on how many are open."""
        x_px, y_px = _CASCADE[len(self._windows) % len(_CASCADE)]
        beside_px = self._metrics.beside_window_px
        size = (
            min(width_px, self._area.width_px - beside_px[0]),
            min(height_px, self._area.height_px - beside_px[1]),
        )
        rect = self._placed(Rect(x_px, y_px, *size))
        window = Window(self._next_id, key, content, rect, self._metrics)
        self._next_id += 1
        self._windows.append(window)
        self.focused = window.id
        self._place(window, rect)
        return window

    def lift(self, window: Window) -> None:
        """Put a window on top, from the taskbar too, and give it the focus."""
        self._windows.remove(window)
        self._windows.append(window)
        window.minimised = False
        self.focused = window.id

    def close(self, window: Window) -> None:
        """Close a window; the topmost of the others gets the focus."""
        self._windows.remove(window)
        self._focus_topmost()

    def minimise(self, window: Window) -> None:
        """Leave a window in the taskbar only; the topmost of the others gets the focus."""
        self._windows.remove(window)
        self._windows.insert(0, window)
        window.minimised = True
        self._focus_topmost()

    def toggle_maximised(self, window: Window) -> None:
        """Let a window fill the work area, or put it back."""
        if window.restore is None:
            window.restore = window.rect
            self._place(window, self._area)
        else:
            rect, window.restore = window.restore, None
            self._place(window, rect)

    def move(self, window: Window, x_px: int, y_px: int) -> None:
        """Move a window near a point, snapped and kept inside the area."""
        window.rect = self._placed(replace(window.rect, x_px=x_px, y_px=y_px))

    def resize(self, window: Window, edges: str, rect: Rect) -> None:
        """Move some edges of a window to those of ``rect``, snapped, inside the area."""
        area, old = self._area, window.rect
        least_width_px, least_height_px = self._metrics.least_window_px
        left_px, right_px, bottom_px = old.x_px, old.right_px, old.bottom_px
        if "l" in edges:
            left_px = max(area.x_px, snapped(rect.x_px, self._snap_px))
            left_px = min(left_px, right_px - least_width_px)
        if "r" in edges:
            right_px = min(area.right_px, snapped(rect.right_px, self._snap_px))
            right_px = max(right_px, left_px + least_width_px)
        if "b" in edges:
            bottom_px = min(area.bottom_px, snapped(rect.bottom_px, self._snap_px))
            bottom_px = max(bottom_px, old.y_px + least_height_px)
        sized = Rect(left_px, old.y_px, right_px - left_px, bottom_px - old.y_px)
        self._place(window, sized.moved_into(area))

    def _place(self, window: Window, rect: Rect) -> None:
        window.rect = rect
        window.content.resize(window.inner.width_px, window.inner.height_px)

    def _placed(self, rect: Rect) -> Rect:
        x_px, y_px = snapped(rect.x_px, self._snap_px), snapped(rect.y_px, self._snap_px)
        return replace(rect, x_px=x_px, y_px=y_px).moved_into(self._area)

    def _focus_topmost(self) -> None:
        shown = self.shown
        self.focused = shown[-1].id if shown else None
