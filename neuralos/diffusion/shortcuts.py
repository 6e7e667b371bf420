"""Distillation to few steps: one long step is to lead where two of half its length do.

The network is told how far a step goes (shortcut models, arXiv 2410.12557); it is its own
teacher, so nothing but its weights is kept. With every doubling of the step the samplers of
1, 2, 4, ... steps learn from the next finer one, as in progressive distillation (2202.00512).
"""

from __future__ import annotations

import torch
from torch import Tensor

from neuralos.diffusion.paths import Draws, NoisePath


def strides_of(uniform_N: Tensor, finest: int) -> tuple[Tensor, Tensor]:
    """Return one of the steps that samplers of 1, 2, 4, ... ``finest`` steps make, for each draw.

    Args:
        uniform_N: drawn from [0, 1).
        finest: a power of 2.

    Returns:
        Levels where the steps begin, and how far they go, each (N,).
    """
    scaled = uniform_N * finest.bit_length()
    steps = 2 ** scaled.floor()
    passed = ((scaled - scaled.floor()) * steps).floor()
    return 1 - passed / steps, 1 / steps


@torch.no_grad()
def two_half_steps(
    path: NoisePath, draws: Draws, noisy_NCHW: Tensor, level_N: Tensor, stride_N: Tensor
) -> Tensor:
    """Return the clean latent (N, C, H, W) that one step must give to equal two half ones.

    Half of the finest step is taken as infinitesimal: that one the data have taught.
    """
    half = stride_N / 2
    told = torch.where(half < 1 / path.config.finest, 0.0, half)
    middle, lower = level_N - half, level_N - stride_N
    between = path.towards(noisy_NCHW, draws(noisy_NCHW, level_N, told), level_N, middle)
    end = path.towards(between, draws(between, middle, told), middle, lower)
    return path.clean_of(noisy_NCHW, end, level_N, lower)
