"""How much replays of the same events differ: no simulator can be closer than that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from data_collection.trace import Clip

_PERCENTILES = (50, 95, 100)
_NAMES = ("p50", "p95", "max")


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """Frame by frame, over every pair of replays.

    ``mse`` is the mean squared difference of a frame's values (0 to 255 squared),
    ``changed_px`` the fraction of its pixels that differ: p50, p95 and max of each.
    """

    replays: int
    frames: int
    mse: tuple[float, float, float]
    changed_px: tuple[float, float, float]

    def to_json(self) -> dict[str, Any]:
        """Return the floor as a JSON object."""
        return {
            "replays": self.replays,
            "pairs": self.replays * (self.replays - 1) // 2,
            "frames": self.frames,
            "mse": dict(zip(_NAMES, self.mse, strict=True)),
            "changed_px": dict(zip(_NAMES, self.changed_px, strict=True)),
        }


def noise_floor(seconds: Iterable[Sequence[Clip]]) -> NoiseFloor:
    """Measure the floor.

    Args:
        seconds: for each clip of the trace, its replays (at least two).

    Raises:
        ValueError: there is nothing to compare, or replays of a clip differ in shape.
    """
    mse: list[float] = []
    changed: list[float] = []
    replays = frames = 0
    for clips in seconds:
        replays = len(clips)
        frames += len(clips[0].frames)
        for one, other in combinations(clips, 2):
            pair_mse, pair_changed = _differences(one.frames, other.frames)
            mse += pair_mse
            changed += pair_changed
    if not mse:
        raise ValueError("a floor needs at least two replays of at least one clip")
    return NoiseFloor(replays, frames, _spread(mse), _spread(changed))


def _differences(
    one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]
) -> tuple[list[float], list[float]]:
    if one.shape != other.shape:
        raise ValueError(f"replays of {one.shape} and {other.shape}")
    mse, changed = [], []
    for a, b in zip(one, other, strict=True):
        differs = (a != b).any(axis=2)
        changed.append(float(differs.mean()))
        delta = a[differs].astype(np.int32) - b[differs]
        mse.append(float((delta**2).sum()) / a.size)
    return mse, changed


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    p50, p95, highest = (float(value) for value in np.percentile(values, _PERCENTILES))
    return p50, p95, highest
