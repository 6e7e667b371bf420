"""How large the parts of the desktop are: one set for usual screens, one for tiny ones."""

from __future__ import annotations

from dataclasses import dataclass

COMPACT_BELOW_PX = (256, 192)
"""A screen narrower or lower than this gets small icons, bars and menus."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Sizes in pixels."""

    taskbar_px: int
    start_width_px: int
    task_width_px: int
    title_bar_px: int
    button_px: int
    """Width and height of a title bar's buttons."""
    corner_px: int
    """Width and height of the corner by which a window is resized."""
    icon_px: int
    slot_width_px: int
    slot_height_px: int
    margin_px: int
    """Left of and above the grid of icons."""
    label_px: int
    menu_width_px: int
    menu_item_px: int
    toolbar_px: int
    row_px: int
    """Height of a row in the file manager."""
    least_window_px: tuple[int, int]
    beside_window_px: tuple[int, int]
    """What a new window leaves free of the work area's width and height."""
    most_windows: int


REGULAR = Metrics(
    taskbar_px=24,
    start_width_px=56,
    task_width_px=88,
    title_bar_px=24,
    button_px=16,
    corner_px=12,
    icon_px=48,
    slot_width_px=80,
    slot_height_px=80,
    margin_px=8,
    label_px=16,
    menu_width_px=128,
    menu_item_px=24,
    toolbar_px=24,
    row_px=20,
    least_window_px=(136, 88),
    beside_window_px=(0, 0),
    most_windows=8,
)
COMPACT = Metrics(
    taskbar_px=16,
    start_width_px=32,
    task_width_px=56,
    title_bar_px=16,
    button_px=12,
    corner_px=8,
    icon_px=16,
    slot_width_px=42,
    slot_height_px=26,
    margin_px=0,
    label_px=10,
    menu_width_px=96,
    menu_item_px=12,
    toolbar_px=16,
    row_px=16,
    least_window_px=(80, 56),
    beside_window_px=(24, 16),
    most_windows=6,
)


def metrics_for(width_px: int, height_px: int) -> Metrics:
    """Return the sizes for a screen."""
    small = width_px < COMPACT_BELOW_PX[0] or height_px < COMPACT_BELOW_PX[1]
    return COMPACT if small else REGULAR
