"""Builders: from a configuration to the objects it describes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from neuralos.config import Document, read_document
from neuralos.data.latents import ReadClip
from neuralos.data.mixture import Mixture
from neuralos.data.sampler import LaneConfig
from neuralos.models.simulator import Simulator, SimulatorConfig
from neuralos.training.evaluate import EvaluationConfig
from neuralos.training.objective import ObjectiveConfig
from neuralos.training.optim import Optimizer, OptimizerConfig
from neuralos.training.trainer import Trainer, TrainingConfig


@dataclass(frozen=True, slots=True)
class NeuralosConfig:
    """The sections of a configuration file that this package reads, by name."""

    simulator: SimulatorConfig = field(default_factory=SimulatorConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    lanes: LaneConfig = field(default_factory=LaneConfig)
    mixture: Mixture = field(default_factory=Mixture)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    @classmethod
    def of(cls, document: Document) -> NeuralosConfig:
        """Take this package's sections of a document."""
        default = cls()
        sections: dict[str, Any] = {
            name: document.section(name, type(getattr(default, name))) for name in SECTIONS
        }
        return cls(**sections)

    def sections(self) -> dict[str, Any]:
        """Return the sections by name, as ``config.to_toml`` takes them."""
        return {name: getattr(self, name) for name in SECTIONS}


SECTIONS = tuple(f.name for f in fields(NeuralosConfig))
"""The names of this package's sections."""


def read_config(path: Path) -> NeuralosConfig:
    """Read this package's sections of a file; other packages' sections are theirs to check."""
    return NeuralosConfig.of(read_document(path))


def make_deterministic() -> None:
    """Use one thread and only algorithms that give the same bits each time."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def build_simulator(config: SimulatorConfig, seed: int) -> Simulator:
    """Return a simulator with its first weights, a function of the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        simulator = Simulator(config)
    return simulator.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def build_trainer(config: NeuralosConfig, read: ReadClip, clock: Callable[[], float]) -> Trainer:
    """Return a trainer before its first step, without data.

    Args:
        config: what to build.
        read: reads the clip of a row.
        clock: seconds, for the timings of reports only.
    """
    simulator = build_simulator(config.simulator, config.training.seed)
    return Trainer(
        config=config.training,
        lanes=config.lanes,
        objective=config.objective,
        simulator=simulator,
        optimizer=Optimizer(simulator, config.optimizer),
        mixture=config.mixture,
        read=read,
        clock=clock,
    )
