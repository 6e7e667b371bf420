"""Rollouts of many passages at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from neuralos.data.encode import Frames
from neuralos.evaluation.passage import Passage
from neuralos.evaluation.predictor import Predictor

ROWS = 16
"""Passages that are drawn in one batch."""


def roll_out(predictor: Predictor, passages: Sequence[Passage]) -> list[Frames]:
    """Return the generated frames (G, Y, P, 3) of each passage, drawn in one batch.

    A passage that is over goes on with its last action until the longest is.

    Raises:
        ValueError: the passages have different numbers of known frames.
    """
    if len({passage.warm for passage in passages}) != 1:
        raise ValueError("passages of a batch have as many known frames each")
    predictor.begin(passages)
    coded = [(passage.actions, passage.keys) for passage in passages]
    warm = passages[0].warm
    drawn: list[list[Frames]] = [[] for _ in passages]
    for step in range(max(passage.generated for passage in passages)):
        at = [min(warm + step, len(passage.frames) - 1) for passage in passages]
        frames = predictor.draw(
            np.stack([actions[t] for (actions, _), t in zip(coded, at, strict=True)]),
            np.stack([keys[t] for (_, keys), t in zip(coded, at, strict=True)]),
        )
        for row, passage in enumerate(passages):
            if step < passage.generated:
                drawn[row].append(frames[row])
    return [np.stack(frames) for frames in drawn]


def batches(lengths: Sequence[int], rows: int = ROWS) -> Iterator[list[int]]:
    """Yield the numbers of items in batches of about the same length, the longest first."""
    order = sorted(range(len(lengths)), key=lambda number: (-lengths[number], number))
    for first in range(0, len(order), rows):
        yield order[first : first + rows]
