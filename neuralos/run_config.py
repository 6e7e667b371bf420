"""The sections of a run's configuration that the simulator and its training read."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from neuralos.config import ConfigError, Document, read_document
from neuralos.data.config import LaneConfig
from neuralos.data.mixture import Mixture
from neuralos.models.config import SimulatorConfig
from neuralos.training.config import (
    EvaluationConfig,
    ObjectiveConfig,
    OptimizerConfig,
    TrainingConfig,
)


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

    def __post_init__(self) -> None:
        """Refuse segments in which a simulator without a carried state would carry one.

        Raises:
            ConfigError: they are longer than a frame.
        """
        if not self.simulator.carry and self.lanes.frames != 1:
            raise ConfigError(
                "[simulator] carry = false needs [lanes] frames = 1: a segment's frames share "
                "a state"
            )

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
