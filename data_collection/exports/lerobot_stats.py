"""What LeRobot normalises by: a feature's range, mean, spread and quantiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Stats = dict[str, Array]

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


def column_stats(values: Array) -> Stats:
    """Return the statistics of a feature over an episode.

    Args:
        values: (N,) or (N, D).

    Returns:
        Each of shape (1,) or (D,); ``count`` of shape (1,).
    """
    table = values.astype(np.float64).reshape(len(values), -1)
    quantiles = np.quantile(table, list(QUANTILES.values()), axis=0)
    return {
        "min": table.min(axis=0),
        "max": table.max(axis=0),
        "mean": table.mean(axis=0),
        "std": table.std(axis=0),
        "count": np.array([len(table)]),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


class PictureStats:
    """Statistics of pictures by channel, from counts of each of the 256 values: exact."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, 256), np.int64)
        self._pictures = 0

    def add(self, frame: npt.NDArray[np.uint8]) -> None:
        """Count the pixels of a picture, (H, W, 3)."""
        for channel in range(3):
            self._counts[channel] += np.bincount(frame[..., channel].reshape(-1), minlength=256)
        self._pictures += 1

    def result(self) -> Stats:
        """Return the statistics in 0..1, each (3, 1, 1); ``count`` of shape (1,)."""
        values = np.arange(256) / 255.0
        share = self._counts / self._counts.sum(axis=1, keepdims=True)
        mean = share @ values
        variance = share @ values**2 - mean**2
        below = np.cumsum(share, axis=1)
        present = self._counts > 0
        by_channel = {
            "min": values[present.argmax(axis=1)],
            "max": values[255 - present[:, ::-1].argmax(axis=1)],
            "mean": mean,
            "std": np.sqrt(np.maximum(variance, 0.0)),
        }
        for name, quantile in QUANTILES.items():
            # Rounding may leave the sum of all shares a hair below the quantile.
            reached = below >= min(quantile, 1.0) - 1e-12
            by_channel[name] = values[reached.argmax(axis=1)]
        stats = {name: value.reshape(3, 1, 1) for name, value in by_channel.items()}
        return {**stats, "count": np.array([self._pictures])}


def merged(parts: Sequence[Mapping[str, Array]]) -> Stats:
    """Return one feature's statistics over several episodes.

    Range, mean and spread are exact; a quantile is the mean of the episodes' quantiles
    weighted by their counts, as LeRobot itself merges them.
    """
    counts = np.array([float(part["count"][0]) for part in parts])

    def weighted(values: Sequence[Array]) -> Array:
        return np.asarray(np.tensordot(counts / counts.sum(), np.stack(values), axes=1))

    mean = weighted([part["mean"] for part in parts])
    squares = [part["std"] ** 2 + (part["mean"] - mean) ** 2 for part in parts]
    return {
        "min": np.min([part["min"] for part in parts], axis=0),
        "max": np.max([part["max"] for part in parts], axis=0),
        "mean": mean,
        "std": np.sqrt(weighted(squares)),
        "count": np.sum([part["count"] for part in parts], axis=0),
        **{name: weighted([part[name] for part in parts]) for name in QUANTILES},
    }


def as_lists(stats: Mapping[str, Array]) -> dict[str, Any]:
    """Return statistics as JSON has them."""
    return {name: value.tolist() for name, value in stats.items()}
