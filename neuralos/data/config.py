"""The shape of a batch. Reading a configuration does not import torch."""

from __future__ import annotations

from dataclasses import dataclass

from neuralos.config import ConfigError


@dataclass(frozen=True, slots=True)
class LaneConfig:
    """Shape of a batch: ``lanes`` rows of ``frames``, passages of ``segments`` segments.

    A passage may begin up to ``lead`` frames before the clip that was drawn for it; 0 is
    half a segment. ``workers`` threads read the clips of a batch; 0 reads them one after the
    other.
    """

    lanes: int = 4
    frames: int = 16
    segments: int = 6
    lead: int = 0
    workers: int = 0

    def __post_init__(self) -> None:
        """Refuse a number of workers or of frames that is none.

        Raises:
            ValueError: it is below 0.
        """
        if self.lead < 0:
            raise ValueError(f"lead is 0 or more frames, not {self.lead}")
        if self.workers < 0:
            raise ValueError(f"workers is 0 or more, not {self.workers}")


def check_lanes(lanes: int, micro_batches: int, ranks: int) -> None:
    """Make sure that every rank gets as many lanes of each micro-batch.

    Raises:
        ConfigError: it cannot be.
    """
    if ranks > 1 and lanes % (ranks * micro_batches):
        each = f" in {micro_batches} micro-batches" if micro_batches > 1 else ""
        raise ConfigError(
            f"lanes.lanes is {lanes}, which {ranks} ranks cannot share evenly{each}; "
            f"set it to a multiple of {ranks * micro_batches}"
        )
