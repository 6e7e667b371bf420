"""Measures as ratios of sums over episodes, and their bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neuralos.evaluation.frame_quality import psnr_db
from neuralos.keyed import numpy_generator

DRAWS = 2000
_DECIBELS = "psnr"
_SHARES = ("task", "transitions", "cursor_within", "no_collapse")
_TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure's value, its 95 % bootstrap interval over episodes, and what it counts."""

    value: float
    low: float
    high: float
    n: int

    @property
    def interval(self) -> list[float]:
        """The interval as a pair."""
        return [self.low, self.high]


@dataclass(slots=True)
class Sheet:
    """What was summed and counted for each measure in each episode.

    A measure whose name begins with ``psnr`` is summed as squared error and told in dB.
    """

    _sums: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)

    @property
    def measures(self) -> Sequence[str]:
        """The measures' names."""
        return list(self._sums)

    def add(self, measure: str, episode: str, values: npt.ArrayLike) -> None:
        """Take in an episode's values of a measure; NaN is no value."""
        known = np.asarray(values, dtype=np.float64).ravel()
        known = known[~np.isnan(known)]
        rows = self._sums.setdefault(measure, {})
        before = rows.get(episode, (0.0, 0.0))
        rows[episode] = before[0] + float(known.sum()), before[1] + len(known)

    def estimate(self, measure: str, seed: int) -> Estimate | None:
        """Return a measure's estimate; None where nothing was counted."""
        rows = np.array(list(self._sums.get(measure, {}).values()), dtype=np.float64)
        if not len(rows) or not rows[:, 1].sum():
            return None
        # The same draws for every predictor, so that their intervals are of the same samples.
        rng = numpy_generator(seed, "bootstrap", measure)
        weights = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=DRAWS)
        sums = weights @ rows
        ratios = sums[:, 0] / np.maximum(sums[:, 1], 1e-12)
        low, high = np.quantile(_told(measure, ratios[sums[:, 1] > 0]), (_TAIL, 1 - _TAIL))
        value = _told(measure, rows[:, 0].sum() / rows[:, 1].sum())
        if measure.startswith(_SHARES) and value in (0.0, 1.0):
            low, high = _bounds_of_none(float(value), int((rows[:, 1] > 0).sum()))
        return Estimate(float(value), float(low), float(high), int(rows[:, 1].sum()))

    def per_episode(self, measure: str) -> Mapping[str, float]:
        """Return a measure's value in each episode that has one."""
        rows = self._sums.get(measure, {})
        return {name: float(_told(measure, s / n)) for name, (s, n) in rows.items() if n}


def _bounds_of_none(value: float, episodes: int) -> tuple[float, float]:
    """Return the exact interval of a share that is 0 or 1 in every episode.

    A bootstrap draws only what it has seen, so its interval would have no width at all.
    """
    reach = float(1 - _TAIL ** (1 / episodes))
    return (0.0, reach) if value == 0.0 else (1 - reach, 1.0)


def _told(measure: str, ratio: float | npt.NDArray[np.float64]) -> float | npt.NDArray[np.float64]:
    return psnr_db(ratio) if measure.startswith(_DECIBELS) else ratio
