"""Where a clip's frames differ from the ones before them: few rectangles, exactly found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BAND_ROWS = 16
_BLOCK_PX = 8


class Band(NamedTuple):
    """A rectangle of a frame outside which its rows are as in the frame before.

    Pixels: rows ``y`` to ``y_end``, columns ``x`` to ``x_end``, the ends excluded.
    """

    frame: int
    y: int
    y_end: int
    x: int
    x_end: int

    @property
    def size_bytes(self) -> int:
        """How many bytes its pixels are."""
        return (self.y_end - self.y) * (self.x_end - self.x) * 3

    def of(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return its pixels, a view into ``frames`` (N, height, width, 3)."""
        return frames[self.frame, self.y : self.y_end, self.x : self.x_end]

    def before(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the same rectangle of the frame before."""
        return frames[self.frame - 1, self.y : self.y_end, self.x : self.x_end]


def changed_bands(frames: npt.NDArray[np.uint8]) -> list[Band]:
    """Return what changes from each frame to the next, at most one band in 16 rows.

    A band begins at a multiple of 16 rows; its columns are those that change anywhere
    in it, widened to multiples of 8. It is a function of the frames alone.

    Args:
        frames: (N, height, width, 3).

    Returns:
        The bands by frame and row; none for frame 0.
    """
    count, height, width, _ = frames.shape
    rows = np.ascontiguousarray(frames).reshape(count, height, width * 3)
    block = _BLOCK_PX * 3
    if width % _BLOCK_PX == 0:
        # Eight bytes at a time: three words are one block of eight pixels.
        rows, block = rows.view(np.uint64), block // 8
    bands: list[Band] = []
    for frame in range(1, count):
        differs = rows[frame] != rows[frame - 1]
        changed = np.flatnonzero(differs.any(axis=1))
        if not len(changed):
            continue
        for y in range(int(changed[0]) // BAND_ROWS * BAND_ROWS, int(changed[-1]) + 1, BAND_ROWS):
            y_end = min(y + BAND_ROWS, height)
            columns = np.flatnonzero(differs[y:y_end].any(axis=0))
            if len(columns):
                x = int(columns[0]) // block * _BLOCK_PX
                x_end = min((int(columns[-1]) // block + 1) * _BLOCK_PX, width)
                bands.append(Band(frame, y, y_end, x, x_end))
    return bands
