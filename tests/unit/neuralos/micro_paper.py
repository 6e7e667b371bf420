"""The public architecture at a size that a test can train."""

from __future__ import annotations

import torch

from neuralos.models.config import SimulatorConfig
from neuralos.models.paper.config import KlConfig, PaperConfig, TemporalConfig, UnetConfig
from neuralos.models.paper.inputs import PaperInput
from neuralos.models.paper.parts import PaperParts
from neuralos.models.paper.simulator import PaperSimulator
from neuralos.shapes import Screen

MICRO_PAPER = PaperConfig(
    channels=4,
    grid_width=8,
    grid_height=6,
    temporal=TemporalConfig(hidden=24, token=32, heads=8, head=48, context=8),
    unet=UnetConfig(widths=(32, 32), layers=1, attention=(False, True), head_channels=16),
    autoencoder=KlConfig(widths=(32, 32, 32, 32), layers=1),
)


def micro_parts(seed: int = 0, config: PaperConfig = MICRO_PAPER) -> PaperParts:
    """Return parts with random weights, those of the autoencoder's statistics set."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = PaperParts.build(config)
    for module in parts.modules().values():
        module.eval()
    mean = torch.linspace(-0.5, 0.5, config.channels)
    parts.autoencoder.set_statistics(mean, torch.linspace(0.5, 2.0, config.channels))
    return parts


def micro_simulator(seed: int = 0, sampler_steps: int = 2) -> PaperSimulator:
    """Return a simulator of 64×48 pixels."""
    screen = Screen(reduction=8, cell_px=8)
    config = SimulatorConfig("paper", sampler_steps=sampler_steps, screen=screen, paper=MICRO_PAPER)
    return PaperSimulator(config, micro_parts(seed)).eval()


def random_inputs(
    batch: int, frames: int, generator: torch.Generator, start_share: float = 0.2
) -> PaperInput:
    """Return inputs (B, T) with some keys held and some sessions that start."""
    sizes = MICRO_PAPER

    def chance(share: float, *shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator) < share

    return PaperInput(
        x=torch.randint(sizes.width_px, (batch, frames), generator=generator),
        y=torch.randint(sizes.height_px, (batch, frames), generator=generator),
        left=chance(0.5, batch, frames),
        right=chance(0.5, batch, frames),
        keys=chance(0.05, batch, frames, sizes.temporal.keys),
        session_start=chance(start_share, batch, frames),
    )
