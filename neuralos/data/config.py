"""The shape of a batch. Reading a configuration does not import torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LaneConfig:
    """Shape of a batch: ``lanes`` rows of ``frames``, passages of ``segments`` segments.

    ``workers`` threads read the clips of a batch; 0 reads them one after the other.
    """

    lanes: int = 4
    frames: int = 16
    segments: int = 3
    workers: int = 0

    def __post_init__(self) -> None:
        """Refuse a number of workers that is none.

        Raises:
            ValueError: it is below 0.
        """
        if self.workers < 0:
            raise ValueError(f"workers is 0 or more, not {self.workers}")
