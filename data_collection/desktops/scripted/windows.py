"""The windows of the scripted desktop and their stacking order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from data_collection.desktops.scripted.apps import App
from data_collection.desktops.scripted.geometry import Rect, snapped

TITLE_BAR_PX = 24
_CLOSE_PX = 16
_CASCADE = ((112, 24), (160, 72), (128, 96), (176, 48))


@dataclass(frozen=True, slots=True)
class Window:
    """One open window."""

    id: int
    app: App
    title: str
    rect: Rect

    @property
    def title_bar(self) -> Rect:
        """The strip by which it is dragged, close button included."""
        return Rect(self.rect.x_px, self.rect.y_px, self.rect.width_px, TITLE_BAR_PX)

    @property
    def close_button(self) -> Rect:
        """The button that closes it."""
        x_px = self.rect.x_px + self.rect.width_px - _CLOSE_PX - 4
        return Rect(x_px, self.rect.y_px + 4, _CLOSE_PX, _CLOSE_PX)

    def to_json(self, z: int, focused: bool) -> dict[str, Any]:
        """Return the window as a JSON object; ``z`` counts from the lowest."""
        return {
            "id": self.id,
            "app": self.app.name,
            "title": self.title,
            "rect": self.rect.to_json(),
            "title_bar": self.title_bar.to_json(),
            "close_button": self.close_button.to_json(),
            "z": z,
            "focused": focused,
        }


class WindowStack:
    """The open windows from the lowest to the topmost, and which one has the focus."""

    def __init__(self, area: Rect, snap_px: int) -> None:
        """Start empty; windows stay inside ``area``, on multiples of ``snap_px``."""
        self._area = area
        self._snap_px = snap_px
        self._windows: list[Window] = []
        self._next_id = 1
        self.focused: int | None = None

    def __iter__(self) -> Iterator[Window]:
        """Go from the lowest window to the topmost."""
        return iter(self._windows)

    def at(self, x_px: int, y_px: int) -> Window | None:
        """Return the topmost window at a point."""
        return next((w for w in reversed(self._windows) if w.rect.contains(x_px, y_px)), None)

    def titled(self, title: str) -> Window | None:
        """Return the window of that title."""
        return next((w for w in self._windows if w.title == title), None)

    def open(self, app: App, title: str) -> Window:
        """Open a window on top; its place depends only on how many are open."""
        x_px, y_px = _CASCADE[len(self._windows) % len(_CASCADE)]
        size = (min(app.width_px, self._area.width_px), min(app.height_px, self._area.height_px))
        window = Window(self._next_id, app, title, self._placed(Rect(x_px, y_px, *size)))
        self._next_id += 1
        self._windows.append(window)
        self.focused = window.id
        return window

    def lift(self, window: Window) -> None:
        """Put a window on top and give it the focus."""
        self._windows.remove(window)
        self._windows.append(window)
        self.focused = window.id

    def close(self, window: Window) -> None:
        """Close a window; the topmost of the others gets the focus."""
        self._windows.remove(window)
        self.focused = self._windows[-1].id if self._windows else None

    def move(self, window_id: int, x_px: int, y_px: int) -> None:
        """Move a window near a point, snapped and kept inside the area."""
        for index, window in enumerate(self._windows):
            if window.id == window_id:
                rect = self._placed(replace(window.rect, x_px=x_px, y_px=y_px))
                self._windows[index] = replace(window, rect=rect)

    def _placed(self, rect: Rect) -> Rect:
        x_px, y_px = snapped(rect.x_px, self._snap_px), snapped(rect.y_px, self._snap_px)
        return replace(rect, x_px=x_px, y_px=y_px).moved_into(self._area)
