"""How far from the pointer the cursor is drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from neuralos.data.encode import Frames
from neuralos.evaluation.passage import COMPARED_REDUCTION, Passage, cursor_size

FARTHEST_PX = 8.0
"""The error, in pixels of a 128×96 screen, of a cursor that is nowhere near."""
_OTHER_GROUND_PX = 4
"""How far it is sought where the ground below it is not the real one."""
_EXPLAINED = 0.5
"""A cursor is found where it leaves less than this share of its own strength unexplained."""
_LEAST_STRENGTH = 3 * 30.0**2
"""Weaker than this, summed over a 128×96 screen's pixels, a cursor is not to be seen."""

Look = npt.NDArray[np.floating]


def cursor_errors(passage: Passage, generated: Frames) -> npt.NDArray[np.float64]:
    """Return the cursor's error in each generated frame, in pixels of a 128×96 screen.

    The look of the cursor is what the real frame has more than the one without a cursor.
    It is sought around the pointer in what the generated frame has more than that; then,
    where the simulator drew another ground, in the generated frame less the ground's median.

    Returns:
        One error a frame, at most ``FARTHEST_PX``; NaN where the real cursor is hidden.
    """
    return np.array(
        [
            _error(passage, passage.warm + index, frame.astype(np.float32))
            for index, frame in enumerate(generated)
        ]
    )


def _error(passage: Passage, index: int, drawn: Look) -> float:
    scale = passage.reduction / COMPARED_REDUCTION
    reach_px = round(FARTHEST_PX / scale)
    x_px, y_px = passage.pointer(index)
    corner = x_px // passage.reduction, y_px // passage.reduction
    size = cursor_size(passage.reduction)
    bare = passage.bare(index).astype(np.float32)
    real = _around(passage.frames[index].astype(np.float32), corner, size, 0)
    look = real - _around(bare, corner, size, 0)
    strength = float(np.square(look).sum()) * scale**2 / 3
    if strength < _LEAST_STRENGTH:
        return float("nan")
    wide = _around(drawn, corner, size, reach_px)
    found = _nearest(wide - _around(bare, corner, size, reach_px), look)
    if found is None:
        near_px = round(_OTHER_GROUND_PX / scale)
        found = _nearest_on_other_ground(_around(drawn, corner, size, near_px), real, look)
    return FARTHEST_PX if found is None else min(FARTHEST_PX, found * scale)


def _around(frame: Look, corner: tuple[int, int], size: tuple[int, int], reach_px: int) -> Look:
    """Return the part of a frame around a look's place, continued by its outermost pixels."""
    (x_px, y_px), (width_px, height_px) = corner, size
    rows = np.arange(y_px - reach_px, y_px + height_px + reach_px).clip(0, len(frame) - 1)
    columns = np.arange(x_px - reach_px, x_px + width_px + reach_px).clip(0, frame.shape[1] - 1)
    part: Look = frame[rows[:, None], columns]
    return part


def _nearest(wide: Look, look: Look) -> float | None:
    """Return how far from the middle of ``wide`` the look is found best; None if nowhere."""
    height, width, _ = look.shape
    windows = sliding_window_view(wide, (height, width), (0, 1))
    return _best(windows.transpose(0, 1, 3, 4, 2), look, look)


def _nearest_on_other_ground(wide: Look, real: Look, look: Look) -> float | None:
    height, width, _ = look.shape
    windows = sliding_window_view(wide, (height, width), (0, 1)).transpose(0, 1, 3, 4, 2)
    centred = windows - np.median(windows, axis=(2, 3), keepdims=True)
    return _best(centred, real - np.median(real, axis=(0, 1)), look)


def _best(windows: Look, wanted: Look, look: Look) -> float | None:
    differences = windows - wanted
    distances = np.einsum("abyxc,abyxc->ab", differences, differences)
    best = int(distances.argmin())
    if distances.flat[best] >= _EXPLAINED * float(np.square(look).sum()):
        return None
    row, column = np.unravel_index(best, distances.shape)
    middle = distances.shape[0] // 2, distances.shape[1] // 2
    return float(np.hypot(row - middle[0], column - middle[1]))
