"""The noise schedule: straight lines from data to noise (flow matching, arXiv 2210.02747)."""

from __future__ import annotations

import torch
from torch import Tensor


def add_noise(clean_NCHW: Tensor, noise_NCHW: Tensor, timestep_N: Tensor) -> Tensor:
    """Return the latents at noise levels in [0, 1]: 0 is clean, 1 is noise."""
    level = timestep_N.view(-1, 1, 1, 1)
    return (1 - level) * clean_NCHW + level * noise_NCHW


def draw_timesteps(count: int, generator: torch.Generator) -> Tensor:
    """Draw noise levels (count,), denser near 1, where a sampler of few steps spends them."""
    return 1 - torch.rand(count, generator=generator) ** 2


def sampling_timesteps(steps: int) -> tuple[float, ...]:
    """Return the levels that a sampler of ``steps`` steps visits, from 1 to 0."""
    return tuple(1 - index / steps for index in range(steps + 1))
