"""Architectures by name."""

from __future__ import annotations

from neuralos.models.config import SimulatorConfig
from neuralos.models.gated import GatedSimulator
from neuralos.models.simulator import Simulator


def make_simulator(config: SimulatorConfig) -> Simulator:
    """Return a simulator of the configuration's architecture, its weights drawn at random."""
    return GatedSimulator(config)
