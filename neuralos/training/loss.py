"""The loss of a step, and what an objective is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from neuralos.data.batch import Batch
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState
from neuralos.training.config import ObjectiveConfig


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss, its parts, and the state after the segment, cut off from the graph."""

    total: Tensor
    parts: Mapping[str, Tensor]
    state: SimulatorState


class Objective(Protocol):
    """What is minimised: a function of simulator, batch, carried state and generator."""

    def __call__(
        self,
        simulator: Simulator,
        batch: Batch,
        state: SimulatorState,
        config: ObjectiveConfig,
        generator: torch.Generator,
    ) -> Loss:
        """Return the loss on a batch of segments."""
        ...
