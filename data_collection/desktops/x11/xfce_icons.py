"""Where xfdesktop lays the icons of the desktop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_collection.desktops.x11.config import X11Config
from data_collection.desktops.x11.home import APPS, ICON_PX, Home, write
from data_collection.desktops.x11.icon_search import find_icon
from data_collection.desktops.x11.windows import Rect
from data_collection.trace import Frame

PANEL_PX = 22
_SCREEN_MARGIN_PX = 8
_SLOT_PX = 72.8
_SLOT_SEARCH_PX = 40


def _grid_size(config: X11Config) -> tuple[int, int]:
    """Return xfdesktop's columns and rows: square slots, sized by icon and text."""
    inner_x_px = config.width_px - 2 * _SCREEN_MARGIN_PX
    # Measured on many sizes: the rows keep a margin more than the columns.
    inner_y_px = config.height_px - PANEL_PX - 1 - 3 * _SCREEN_MARGIN_PX
    return int(inner_x_px // _SLOT_PX), int(inner_y_px // _SLOT_PX)


def _app_cells(config: X11Config) -> list[tuple[str, tuple[int, int]]]:
    """Return the (column, row) of each app, down the first column."""
    _, rows = _grid_size(config)
    apps = [app for app in APPS if config.browser or app != "Browser"]
    return [(app, divmod(n, rows)) for n, app in enumerate(apps)]


def write_icon_places(home: Home) -> None:
    """Write the file in which xfdesktop looks for its icons' places."""
    config = home.config
    lines = ["[xfdesktop-version-4.10.3+-rcfile_format]", "4.10.3+=true", ""]
    for app, (column, row) in _app_cells(config):
        lines += [f"[{home.desktop}/{app}.desktop]", f"row={row}", f"col={column}", ""]
    folder = home.session.home / ".config/xfce4/desktop"
    size = (
        config.width_px - 2 * _SCREEN_MARGIN_PX,
        config.height_px - PANEL_PX - 1 - 2 * _SCREEN_MARGIN_PX,
    )
    name = f"icons.screen0-{size[0]}x{size[1]}.rc"
    write(folder / name, "\n".join(lines))
    (folder / "icons.screen.latest.rc").symlink_to(folder / name)


class XfceIcons:
    """Where xfdesktop puts the icons; a new folder takes the first free cell, by column."""

    def __init__(self, config: X11Config, left_px: float, top_px: float, pitch_y_px: float) -> None:
        """Store the grid: where the icon of its first cell lies, and how far down the next."""
        self._columns, self._rows = _grid_size(config)
        self._apps = _app_cells(config)
        self._left_px = left_px
        self._top_px = top_px
        # The last column keeps as much room on its right as the first one on its left.
        self._pitch_x_px = (config.width_px - ICON_PX - 2 * left_px) / max(1, self._columns - 1)
        self._pitch_y_px = pitch_y_px
        self._cells: dict[str, tuple[int, int]] = {}

    def rects(self, folders: Sequence[str]) -> list[tuple[str, Rect]]:
        """Return the icons' places."""
        self._cells = {name: cell for name, cell in self._cells.items() if name in folders}
        for name in folders:
            if name not in self._cells:
                taken = {cell for _, cell in self._apps} | set(self._cells.values())
                free = (
                    (column, row)
                    for column in range(self._columns)
                    for row in range(self._rows)
                    if (column, row) not in taken
                )
                cell = next(free, None)
                if cell is not None:
                    self._cells[name] = cell
        places = [*self._apps, *self._cells.items()]
        return [(name, self._rect(*cell)) for name, cell in places]

    def _rect(self, column: int, row: int) -> Rect:
        x_px = self._left_px + column * self._pitch_x_px
        return int(x_px), int(self._top_px + row * self._pitch_y_px), ICON_PX, ICON_PX


def find_icons(config: X11Config, frame: Frame) -> XfceIcons | None:
    """Find the grid in a frame: the first column holds icons that are known."""
    search = (0, 0, 2 * _SLOT_SEARCH_PX, config.height_px)
    tops = [find_icon(frame, app, search) for app, (column, _) in _app_cells(config) if column == 0]
    found = [corner for corner in tops if corner is not None]
    if len(found) < len(tops):
        return None
    lefts = [x_px for x_px, _ in found]
    rows = [y_px for _, y_px in found]
    pitch_y_px = (rows[-1] - rows[0]) / (len(rows) - 1)
    return XfceIcons(config, float(np.median(lefts)), rows[0], pitch_y_px)
