"""How much replays of the same events differ: no simulator can be closer than that."""

from __future__ import annotations

from collections.abc import Sequence
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
    ``identical`` is the share of comparisons in which no pixel differs.
    """

    replays: int
    frames: int
    identical: float
    mse: tuple[float, float, float]
    changed_px: tuple[float, float, float]

    def to_json(self) -> dict[str, Any]:
        """Return the floor as a JSON object."""
        return {
            "replays": self.replays,
            "pairs": self.replays * (self.replays - 1) // 2,
            "frames": self.frames,
            "identical": self.identical,
            "mse": dict(zip(_NAMES, self.mse, strict=True)),
            "changed_px": dict(zip(_NAMES, self.changed_px, strict=True)),
        }


class FloorMeter:
    """Takes the replays of one clip after another; keeps two numbers a frame and pair."""

    def __init__(self) -> None:
        self._replays = 0
        self._frames = 0
        self._mse: list[float] = []
        self._changed: list[float] = []

    def add(self, replays: Sequence[Clip]) -> None:
        """Compare the replays of a clip with each other.

        Raises:
            ValueError: there are fewer than two, or they differ in shape.
        """
        if len(replays) < 2:
            raise ValueError("a floor needs at least two replays")
        self._replays = max(self._replays, len(replays))
        self._frames += len(replays[0].frames)
        for one, other in combinations(replays, 2):
            mse, changed = _differences(one.frames, other.frames)
            self._mse += mse
            self._changed += changed

    @property
    def floor(self) -> NoiseFloor | None:
        """The floor over everything compared so far; None before anything was."""
        if not self._mse:
            return None
        identical = sum(changed == 0 for changed in self._changed) / len(self._changed)
        return NoiseFloor(
            self._replays, self._frames, identical, _spread(self._mse), _spread(self._changed)
        )


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
