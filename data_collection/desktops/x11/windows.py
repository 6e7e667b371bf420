"""What is known of one window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Rect = tuple[int, int, int, int]
"""x, y, width, height in px of the screen."""

_GRIP_PX = 10


@dataclass(frozen=True, slots=True)
class WindowInfo:
    """One window of a program, with the frame that the window manager put around it."""

    id: int
    app: str
    title: str
    rect: Rect
    client: Rect
    buttons: tuple[Rect, ...]
    """From left to right; the last three are minimise, maximise and close."""
    focused: bool
    minimised: bool
    maximised: bool
    dialog: bool
    pid: int

    @property
    def title_bar(self) -> Rect:
        """The strip above the program's own part."""
        x_px, y_px, width_px, _ = self.rect
        return x_px, y_px, width_px, self.client[1] - y_px

    def button(self, from_right: int) -> Rect | None:
        """Return a button by its place from the right; 1 is the close button."""
        return self.buttons[-from_right] if len(self.buttons) >= from_right else None

    def to_json(self, z: int) -> dict[str, Any]:
        """Return the window as it stands in a state."""
        x_px, y_px, width_px, height_px = self.rect
        full = not self.dialog
        return {
            "id": self.id,
            "app": self.app,
            "title": self.title,
            "rect": list(self.rect),
            "title_bar": list(self.title_bar),
            "close_button": _listed(self.button(1)),
            "maximise_button": _listed(self.button(2) if full else None),
            "minimise_button": _listed(self.button(3) if full else None),
            "resize_corner": [
                x_px + width_px - _GRIP_PX,
                y_px + height_px - _GRIP_PX // 2,
                _GRIP_PX,
                _GRIP_PX // 2,
            ],
            "z": z,
            "focused": self.focused,
            "minimised": self.minimised,
            "maximised": self.maximised,
        }


def contains(rect: Rect | None, x_px: int, y_px: int) -> bool:
    """Say whether a point lies in a rectangle."""
    if rect is None:
        return False
    return rect[0] <= x_px < rect[0] + rect[2] and rect[1] <= y_px < rect[1] + rect[3]


def _listed(rect: Rect | None) -> list[int] | None:
    return None if rect is None else list(rect)
