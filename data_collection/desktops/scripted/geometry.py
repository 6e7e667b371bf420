"""Rectangles on the screen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rect:
    """An axis-aligned rectangle; its right and bottom edges lie outside it."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int

    @property
    def right_px(self) -> int:
        """The first column to the right of it."""
        return self.x_px + self.width_px

    @property
    def bottom_px(self) -> int:
        """The first row below it."""
        return self.y_px + self.height_px

    def contains(self, x_px: int, y_px: int) -> bool:
        """Say whether the point lies inside."""
        return self.x_px <= x_px < self.right_px and self.y_px <= y_px < self.bottom_px

    def moved_into(self, outer: Rect) -> Rect:
        """Return this rectangle moved as little as needed to lie inside ``outer``."""
        x_px = min(self.x_px, outer.right_px - self.width_px)
        y_px = min(self.y_px, outer.bottom_px - self.height_px)
        return Rect(max(x_px, outer.x_px), max(y_px, outer.y_px), self.width_px, self.height_px)

    def moved_by(self, x_px: int, y_px: int) -> Rect:
        """Return this rectangle moved by an offset."""
        return Rect(self.x_px + x_px, self.y_px + y_px, self.width_px, self.height_px)

    def clipped_to(self, outer: Rect) -> Rect | None:
        """Return the part inside ``outer``; None where there is none."""
        x_px, y_px = max(self.x_px, outer.x_px), max(self.y_px, outer.y_px)
        right_px = min(self.right_px, outer.right_px)
        bottom_px = min(self.bottom_px, outer.bottom_px)
        if x_px >= right_px or y_px >= bottom_px:
            return None
        return Rect(x_px, y_px, right_px - x_px, bottom_px - y_px)

    def to_json(self) -> list[int]:
        """Return ``[x, y, width, height]``."""
        return [self.x_px, self.y_px, self.width_px, self.height_px]


def snapped(value_px: int, grid_px: int) -> int:
    """Return the multiple of ``grid_px`` nearest to a position (1 leaves it as it is)."""
    return (value_px + grid_px // 2) // grid_px * grid_px
