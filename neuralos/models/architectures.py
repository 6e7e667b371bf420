"""Architectures by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from neuralos.models.collage import CollageSimulator
from neuralos.models.config import SimulatorConfig
from neuralos.models.fast.simulator import FastSimulator
from neuralos.models.gated import GatedSimulator
from neuralos.models.paper.simulator import make_paper
from neuralos.models.simulator import Simulator

_KINDS: Mapping[str, Callable[[SimulatorConfig], Simulator]] = {
    "collage": CollageSimulator,
    "gated": GatedSimulator,
    "fast": FastSimulator,
    "paper": make_paper,
}


def make_simulator(config: SimulatorConfig) -> Simulator:
    """Return a simulator of the configuration's architecture, its weights drawn at random."""
    return _KINDS[config.architecture](config)
