"""What the lanes draw from: weight and recency of each data source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from data_collection.trace import ClipRow

BASE_SOURCE = "base"
"""Scripted users, before the run began."""
LIVE_SOURCE = "live"
"""Whoever uses a window that feeds the run."""
SOURCES = (BASE_SOURCE, LIVE_SOURCE)

_FLOOR = 2.0**-6
"""A clip never gets rarer than this by age alone."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Shares of the sources; present sources share the draws by weight.

    A clip's chance within its source halves for every ``half_life_clips`` clips of that
    source committed after it. ``fresh_rows`` lanes take the live clips not yet used,
    while ``live_intake`` is on.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: {"base": 1.0, "live": 1.0})
    half_life_clips: Mapping[str, float] = field(
        default_factory=lambda: {"base": 100000.0, "live": 300.0}
    )
    fresh_rows: int = 1
    live_intake: bool = True

    def __post_init__(self) -> None:
        """Refuse sources that there are not.

        Raises:
            ValueError: a source is unknown; the message names the nearest.
        """
        for source in {**self.weights, **self.half_life_clips}:
            if source not in SOURCES:
                raise ValueError(f"no source {source!r}; did you mean {nearest_source(source)!r}?")

    def to_json(self) -> dict[str, Any]:
        """Return the mixture as a JSON object."""
        return asdict(self)


def clip_chances(rows: Sequence[ClipRow], mixture: Mixture) -> npt.NDArray[np.float64]:
    """Return each clip's chance to be drawn; all zero if every present source weighs 0.

    Args:
        rows: the clips to learn from, by commit number.
        mixture: the mixture in force.
    """
    later = Counter(row.source for row in rows)
    chances = np.zeros(len(rows))
    totals: Counter[str] = Counter()
    for index, row in enumerate(rows):
        later[row.source] -= 1
        half_life = mixture.half_life_clips.get(row.source)
        recency = 2.0 ** (-later[row.source] / half_life) if half_life else 1.0
        chances[index] = row.weight * max(_FLOOR, recency)
        totals[row.source] += chances[index]
    for index, row in enumerate(rows):
        chances[index] *= mixture.weights.get(row.source, 0.0) / totals[row.source]
    return chances


def nearest_source(name: str) -> str:
    """Return the source whose name is most like ``name``."""
    return get_close_matches(name, SOURCES, n=1, cutoff=0.0)[0]
