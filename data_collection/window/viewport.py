"""Where a desktop lies inside the window, and which desktop pixel a window pixel shows."""

from __future__ import annotations

from dataclasses import dataclass

Size = tuple[int, int]
Point = tuple[int, int]
Rect = tuple[int, int, int, int]


def hud_height(window_width_px: int) -> int:
    """Return the height of the strip below the desktop, in window pixels."""
    return round(66 * min(2.0, max(1.0, window_width_px / 720)))


@dataclass(frozen=True, slots=True)
class Viewport:
    """A desktop shown at a whole multiple of its size, centred above the HUD strip."""

    desktop: Size
    scale: int
    origin: Point
    """Window pixel of the desktop's top left corner."""
    hud: Rect
    """x, y, width, height of the strip, in window pixels."""

    @classmethod
    def fit(cls, window: Size, desktop: Size) -> Viewport:
        """Return the largest whole scale at which the desktop fits, letterboxed."""
        strip = hud_height(window[0])
        room = (window[0], max(window[1] - strip, 1))
        scale = max(1, min(room[0] // desktop[0], room[1] // desktop[1]))
        origin = (
            max(0, (room[0] - desktop[0] * scale) // 2),
            max(0, (room[1] - desktop[1] * scale) // 2),
        )
        return cls(desktop, scale, origin, (0, window[1] - strip, window[0], strip))

    @classmethod
    def window_size(cls, desktop: Size, scale: int) -> Size:
        """Return the window size that shows the desktop at a scale without letterbox."""
        width_px = desktop[0] * scale
        return width_px, desktop[1] * scale + hud_height(width_px)

    def contains(self, point: Point) -> bool:
        """Return whether a window pixel shows the desktop."""
        x_px, y_px = self._unclamped(point)
        in_strip = point[1] >= self.hud[1]
        return 0 <= x_px < self.desktop[0] and 0 <= y_px < self.desktop[1] and not in_strip

    def to_desktop(self, point: Point) -> Point:
        """Return the desktop pixel under a window pixel, clamped to the desktop's edge."""
        x_px, y_px = self._unclamped(point)
        return (
            min(max(x_px, 0), self.desktop[0] - 1),
            min(max(y_px, 0), self.desktop[1] - 1),
        )

    def to_window(self, point: Point) -> Point:
        """Return the window pixel in the middle of a desktop pixel."""
        half = self.scale // 2
        return (
            self.origin[0] + point[0] * self.scale + half,
            self.origin[1] + point[1] * self.scale + half,
        )

    def _unclamped(self, point: Point) -> Point:
        return (
            (point[0] - self.origin[0]) // self.scale,
            (point[1] - self.origin[1]) // self.scale,
        )
