"""The bar at the bottom: the menu button, and a button for each window."""

from __future__ import annotations

from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.metrics import Metrics

_GAP_PX = 8


def start_button(height_px: int, metrics: Metrics) -> Rect:
    """Return the button that opens the desktop's menu, on a screen of that height."""
    inner_px = metrics.taskbar_px * 2 // 3
    y_px = height_px - metrics.taskbar_px + (metrics.taskbar_px - inner_px) // 2
    return Rect(_GAP_PX if metrics.taskbar_px == 24 else 2, y_px, metrics.start_width_px, inner_px)


def task_buttons(count: int, width_px: int, height_px: int, metrics: Metrics) -> tuple[Rect, ...]:
    """Return the buttons of ``count`` windows, narrower where there are many."""
    start = start_button(height_px, metrics)
    from_px = start.right_px + start.x_px
    room_px = (width_px - from_px) // max(1, count)
    step_px = min(metrics.task_width_px, room_px)
    if step_px > _GAP_PX:
        step_px -= step_px % 4
    return tuple(
        Rect(from_px + step_px * index, start.y_px, max(1, step_px - start.x_px), start.height_px)
        for index in range(count)
    )
