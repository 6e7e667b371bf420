"""Finds the desktop's own icons in a frame: where they are drawn says how they are laid out."""

from __future__ import annotations

import numpy as np

from data_collection.desktops.x11 import art
from data_collection.desktops.x11.home import ICON_PX
from data_collection.desktops.x11.windows import Rect
from data_collection.trace import Frame

_TOLERANCE = 2
_PROBES = 8


def find_icon(frame: Frame, app: str, area: Rect) -> tuple[int, int] | None:
    """Return the upper left corner of an app's icon, if it is drawn within an area.

    Args:
        frame: uint8 (height, width, 3).
        app: one of ``home.APPS``.
        area: where all of the icon has to lie; what is outside of the frame is left out.
    """
    icon = art.icon_rgba(app.lower(), ICON_PX)
    ys, xs = np.nonzero(icon[:, :, 3] == 255)
    colours = icon[ys, xs, :3]
    left_px, top_px = max(0, area[0]), max(0, area[1])
    width_px = min(frame.shape[1], area[0] + area[2]) - left_px - ICON_PX + 1
    height_px = min(frame.shape[0], area[1] + area[3]) - top_px - ICON_PX + 1
    alike = np.ones((height_px, width_px), bool)
    # A few pixels of the icon rule out almost every place; the rest is looked at in full.
    for n in range(0, len(ys), len(ys) // _PROBES):
        y_px, x_px = top_px + ys[n], left_px + xs[n]
        part = frame[y_px : y_px + height_px, x_px : x_px + width_px].astype(int)
        alike &= (np.abs(part - colours[n]) <= _TOLERANCE).all(axis=2)
    for dy_px, dx_px in np.argwhere(alike):
        x_px, y_px = left_px + int(dx_px), top_px + int(dy_px)
        seen = frame[y_px + ys, x_px + xs].astype(int)
        if np.abs(seen - colours).mean() <= _TOLERANCE:
            return x_px, y_px
    return None
