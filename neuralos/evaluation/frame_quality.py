"""How alike two frames are: squared error, and structural similarity (Wang et al. 2004)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuralos.data.encode import Frames

Plane = npt.NDArray[np.float64]

_PEAK = 255.0
_SIGMA_PX = 1.5
_RADIUS_PX = 5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
_LUMA = np.array([0.299, 0.587, 0.114])


def squared_error(one: Frames, other: Frames) -> Plane:
    """Return the squared difference of each pixel, the mean of its three values (..., Y, P)."""
    result: Plane = np.square(one.astype(np.float32) - other).mean(-1, dtype=np.float64)
    return result


def psnr_db(mean_squared_error: float | Plane) -> Plane:
    """Return the peak signal-to-noise ratio in dB, at most about 138 where nothing differs."""
    result: Plane = 10 * np.log10(_PEAK**2 / np.maximum(mean_squared_error, 1e-9))
    return result


def ssim_map(one: Frames, other: Frames) -> Plane:
    """Return the structural similarity of two frames (Y, P, 3) at each pixel, (Y, P).

    On the luma, with the Gaussian window of 11×11 pixels and deviation 1.5 of Wang et al.,
    "Image quality assessment: from error visibility to structural similarity" (2004); at
    the edges the frame is continued by its outermost pixels.
    """
    x, y = one @ _LUMA, other @ _LUMA
    mean_x, mean_y = _blurred(x), _blurred(y)
    spread_x = _blurred(x * x) - mean_x**2
    spread_y = _blurred(y * y) - mean_y**2
    shared = _blurred(x * y) - mean_x * mean_y
    above = (2 * mean_x * mean_y + _C1) * (2 * shared + _C2)
    below = (mean_x**2 + mean_y**2 + _C1) * (spread_x + spread_y + _C2)
    result: Plane = above / below
    return result


def contrast(frames: Frames) -> Plane:
    """Return each pixel's mean absolute difference to its right and lower neighbour."""
    values = frames.astype(np.float32)
    right = np.abs(np.diff(values, axis=-2, append=values[..., :, -1:, :])).mean(-1)
    below = np.abs(np.diff(values, axis=-3, append=values[..., -1:, :, :])).mean(-1)
    result: Plane = (right + below) / 2
    return result


def _weights() -> Plane:
    offsets = np.arange(-_RADIUS_PX, _RADIUS_PX + 1)
    bell: Plane = np.exp(-(offsets**2) / (2 * _SIGMA_PX**2))
    bell /= bell.sum()
    return bell


_WEIGHTS = _weights()


def _blurred(plane: Plane) -> Plane:
    """Return a plane under the Gaussian window."""
    height, width = plane.shape
    padded = np.pad(plane, _RADIUS_PX, mode="edge")
    rows = sum(w * padded[i : i + height] for i, w in enumerate(_WEIGHTS))
    result: Plane = np.asarray(sum(w * rows[:, i : i + width] for i, w in enumerate(_WEIGHTS)))
    return result
