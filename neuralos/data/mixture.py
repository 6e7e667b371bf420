"""What the lanes draw from: weight and recency of each data source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from math import log2
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralos.data.columns import Columns, Ints

Floats = npt.NDArray[np.float64]

BASE_SOURCE = "base"
"""Scripted users, before the run began."""
LIVE_SOURCE = "live"
"""Whoever uses a window that feeds the run."""
SOURCES = (BASE_SOURCE, LIVE_SOURCE)

TRANSITION_WEIGHT = 5
"""Clips of this weight hold a transition: 1/256 of their pixels change, as where a menu opens.

A cursor on the move changes less."""

_FLOOR = 2.0**-6
"""A clip never gets rarer than this by age alone."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Shares of the sources; present sources share the draws by weight.

    A clip's chance within its source halves for every ``half_life_clips`` clips of that
    source committed after it. No trace gets more than ``trace_cap`` of its source's draws
    (1: no cap), as far as there are enough traces. ``transitions`` is the share of a source's
    draws that goes to clips in which much changes (0: none is set aside for them; NeuralOS,
    section 3: challenging transitions). ``fresh_rows`` lanes take the live clips not yet
    used, while ``live_intake`` is on and that source has a weight.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: {"base": 1.0, "live": 1.0})
    half_life_clips: Mapping[str, float] = field(
        default_factory=lambda: {"base": 100000.0, "live": 300.0}
    )
    trace_cap: float = 1.0
    transitions: float = 0.0
    fresh_rows: int = 1
    live_intake: bool = True

    def __post_init__(self) -> None:
        """Refuse sources that there are not, and a cap that is no share.

        Raises:
            ValueError: a source is unknown; the message names the nearest. Or a share is
                out of its range.
        """
        if not 0.0 < self.trace_cap <= 1.0:
            raise ValueError(f"trace_cap is a share, above 0 and at most 1, not {self.trace_cap}")
        if not 0.0 <= self.transitions < 1.0:
            raise ValueError(f"transitions is a share below 1, not {self.transitions}")
        for source in {**self.weights, **self.half_life_clips}:
            if source not in SOURCES:
                raise ValueError(f"no source {source!r}; did you mean {nearest_source(source)!r}?")

    def to_json(self) -> dict[str, Any]:
        """Return the mixture as a JSON object."""
        return asdict(self)


def clip_chances(clips: Columns, mixture: Mixture) -> Floats:
    """Return each clip's chance to be drawn; all zero if every present source weighs 0.

    A clip of a single frame is never drawn, for a segment has a frame before its first.
    Only sums in the order of commits and single products make the numbers, so that they
    have the same bits on every machine, however the clips came in.

    Args:
        clips: the clips to learn from, by commit number.
        mixture: the mixture in force.
    """
    chances = np.zeros(len(clips.rows))
    for label, source in enumerate(clips.sources):
        at = np.flatnonzero((clips.source == label) & (clips.frames > 1))
        if len(at):
            recency = _recency(len(at), mixture.half_life_clips.get(source))
            share = _shares(clips.weight[at] * recency)
            if mixture.transitions > 0.0:
                share = _favour(share, clips.weight[at] >= TRANSITION_WEIGHT, mixture.transitions)
            if mixture.trace_cap < 1.0:
                share = _cap_traces(share, clips.trace[at], clips.traces, mixture.trace_cap)
            chances[at] = share * mixture.weights.get(source, 0.0)
    return chances


def _recency(count: int, half_life: float | None) -> Floats:
    """Return what age leaves of the weights of ``count`` clips, the newest last."""
    if not half_life:
        return np.ones(count)
    fading = min(count, int(half_life * -log2(_FLOOR)) + 1)
    powers = np.full(fading, 2.0 ** (-1.0 / half_life))
    powers[0] = 1.0
    by_age = np.full(count, _FLOOR)
    by_age[:fading] = np.maximum(np.multiply.accumulate(powers), _FLOOR)
    return by_age[::-1]


def _shares(amounts: Floats) -> Floats:
    """Return amounts that sum to 1."""
    shares: Floats = amounts / np.add.accumulate(amounts)[-1]
    return shares


def _favour(share: Floats, favoured: npt.NDArray[np.bool_], wanted: float) -> Floats:
    """Return shares of which the favoured ones together have ``wanted``, if there are others."""
    if favoured.all() or not favoured.any():
        return share
    total = np.add.accumulate(np.where(favoured, share, 0.0))[-1]
    rest = np.add.accumulate(np.where(favoured, 0.0, share))[-1]
    if not total or not rest:
        return share
    scaled: Floats = share * np.where(favoured, wanted / total, (1.0 - wanted) / rest)
    return scaled


def _cap_traces(share: Floats, trace: Ints, traces: int, cap: float) -> Floats:
    """Cut each trace's share to ``cap``, and give what is cut to the others as they stand.

    Where there are too few traces for the cap, all get the same.
    """
    totals = np.bincount(trace, weights=share, minlength=traces)
    first = np.full(traces, len(trace))
    first[trace[::-1]] = np.arange(len(trace))[::-1]
    order = np.lexsort((first, -totals))[: np.count_nonzero(totals)]
    largest = totals[order]
    cap = max(cap, 1.0 / len(order))
    # Once the k largest hold the cap each, the others share what that leaves.
    left = 1.0 - cap * np.arange(len(order))
    rest = np.add.accumulate(largest[::-1])[::-1]
    scale = left / rest
    capped = int(np.argmax(largest * scale <= cap * (1.0 + 1e-12)))
    allowed = np.minimum(largest * scale[capped], cap)
    allowed[:capped] = cap
    factor = np.zeros(traces)
    factor[order] = allowed / largest
    return share * factor[trace]


def nearest_source(name: str) -> str:
    """Return the source whose name is most like ``name``."""
    return get_close_matches(name, SOURCES, n=1, cutoff=0.0)[0]
