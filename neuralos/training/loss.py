"""The loss of a step, and what an objective is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from neuralos.data.batch import Batch
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState
from neuralos.training.config import ObjectiveConfig, TrainingConfig
from neuralos.training.stages import Stage


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss, its parts, and the state after the segment, cut off from the graph.

    ``count`` is how much the mean was taken over: micro-batches weigh by it.
    """

    total: Tensor
    parts: Mapping[str, Tensor]
    state: SimulatorState
    count: float = 1.0


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


@dataclass(frozen=True, slots=True)
class PixelLoss:
    """The loss on frames, its parts, and how many frames it is the mean of."""

    total: Tensor
    parts: Mapping[str, Tensor]
    count: float = 1.0


class PixelObjective(Protocol):
    """What an autoencoder minimises: a function of its frames and of a generator."""

    def __call__(
        self, simulator: Simulator, frames_NYP3: Tensor, generator: torch.Generator
    ) -> PixelLoss:
        """Return the loss on frames of bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Objectives:
    """How a stage's objective is made: for a step, and for what the run says."""

    latent: Mapping[str, Callable[[Stage, int, TrainingConfig], Objective]]
    pixel: Mapping[str, Callable[[Stage, int, TrainingConfig], PixelObjective]]
