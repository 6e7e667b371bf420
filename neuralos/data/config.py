"""The shape of a batch. Reading a configuration does not import torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LaneConfig:
    """Shape of a batch: ``lanes`` rows of ``frames``, passages of ``segments`` segments."""

    lanes: int = 4
    frames: int = 16
    segments: int = 3
