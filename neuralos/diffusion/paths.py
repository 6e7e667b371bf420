"""Paths from a latent to what a sampler starts from, and the few steps back.

Every path is ``z = a(u)·clean + b(u)·source`` with a noise level ``u`` in [0, 1]: at 0 it is
the clean latent, at 1 what the sampler starts from. Kinds differ in ``a``, ``b``, the source,
and in how the network's output is scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from neuralos.diffusion.config import PathConfig
from neuralos.diffusion.noise_table import TIMESTEPS, NoiseTable


class Draws(Protocol):
    """A denoiser with its hints at hand: says which clean latent a noisy one leads to."""

    def __call__(self, noisy_NCHW: Tensor, level_N: Tensor, stride_N: Tensor) -> Tensor:
        """Return the clean latents (N, C, H, W).

        Args:
            noisy_NCHW: latents on the path.
            level_N: their noise levels.
            stride_N: how far down in level the step is to go; 0 is infinitesimal.
        """
        ...


@dataclass(frozen=True, slots=True)
class Scales:
    """What preconditions a network F: ``centre + skip·d + output·F(input·d)``, each (N,).

    ``d`` is the noisy latent less the centre where ``is_centred``, else the noisy latent.
    """

    input: Tensor
    skip: Tensor
    output: Tensor


class NoisePath:
    """One path, as a configuration says."""

    def __init__(self, config: PathConfig) -> None:
        self.config = config
        # Exactly 1 at level 0, where no noise is left.
        self._kept = torch.cat((torch.ones(1, device="cpu"), NoiseTable().alpha_S))

    @property
    def is_centred(self) -> bool:
        """Whether the network reads how far the noisy latent is from the draft."""
        return self.config.kind == "edm"

    def parts(self, level_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shares a and b (N, 1, 1, 1) of clean latent and source."""
        if self.config.kind == "flow":
            clean, source = 1 - level_N, level_N
        elif self.config.kind == "edm":
            clean, source = torch.ones_like(level_N), self.sigma(level_N)
        else:
            index = (level_N * TIMESTEPS).round().long()
            kept = self._kept.to(level_N.device)[index]
            clean, source = kept.sqrt(), (1 - kept).sqrt()
        return clean.view(-1, 1, 1, 1), source.view(-1, 1, 1, 1)

    def sigma(self, level_N: Tensor) -> Tensor:
        """Return the noise's standard deviation (arXiv 2206.00364, equation 5); 0 at level 0."""
        low, high = (s ** (1 / self.config.rho) for s in (self.config.sigma_min, self._most))
        sigma: Tensor = (low + level_N * (high - low)) ** self.config.rho * (level_N > 0)
        return sigma

    def source(self, previous_NCHW: Tensor, noise_NCHW: Tensor) -> Tensor:
        """Return what is mixed in."""
        if self.config.kind == "flow" and self.config.start == "previous":
            return previous_NCHW + self.config.start_noise * noise_NCHW
        return noise_NCHW

    def noisy(self, clean: Tensor, previous: Tensor, noise: Tensor, level_N: Tensor) -> Tensor:
        """Return the point of the path at a level, (N, C, H, W)."""
        share, other = self.parts(level_N)
        return share * clean + other * self.source(previous, noise)

    def start(self, previous_NCHW: Tensor, noise_NCHW: Tensor) -> Tensor:
        """Return what the sampler starts from, at level 1."""
        _, other = self.parts(noise_NCHW.new_ones(1))
        start = other * self.source(previous_NCHW, noise_NCHW)
        if self.config.kind == "edm" and self.config.start == "previous":
            start = start + previous_NCHW
        return start

    def scales(self, level_N: Tensor) -> Scales:
        """Return the preconditioning at noise levels."""
        if self.config.kind != "edm":
            ones = torch.ones_like(level_N)
            return Scales(ones, torch.zeros_like(ones), ones)
        data, sigma = self.config.sigma_data, self.sigma(level_N)
        both = sigma.square() + data**2
        return Scales(both.rsqrt(), data**2 / both, sigma * data * both.rsqrt())

    def towards(self, noisy: Tensor, clean: Tensor, level_N: Tensor, lower_N: Tensor) -> Tensor:
        """Return the point at a lower level, on the line that leads to ``clean``."""
        share, other = self.parts(level_N)
        lower_share, lower_other = self.parts(lower_N)
        return lower_share * clean + lower_other * (noisy - share * clean) / other

    def clean_of(self, noisy: Tensor, lower: Tensor, level_N: Tensor, lower_N: Tensor) -> Tensor:
        """Return the clean latent for which ``towards`` leads from ``noisy`` to ``lower``."""
        share, other = self.parts(level_N)
        lower_share, lower_other = self.parts(lower_N)
        ratio = lower_other / other
        return (lower - ratio * noisy) / (lower_share - ratio * share)

    def sample(self, draws: Draws, previous: Tensor, noise: Tensor, steps: int) -> Tensor:
        """Return the latents (N, C, H, W) that ``steps`` steps lead to."""
        latent = self.start(previous, noise)
        stride = latent.new_full((len(latent),), 1 / steps)
        for level, lower in pairwise(sampling_levels(steps)):
            at, below = torch.full_like(stride, level), torch.full_like(stride, lower)
            clean = draws(latent, at, stride)
            latent = self.towards(latent, clean, at, below)
        return latent

    @property
    def _most(self) -> float:
        if self.config.start == "previous":
            return self.config.start_noise
        return self.config.sigma_max


def sampling_levels(steps: int) -> tuple[float, ...]:
    """Return the levels that a sampler of ``steps`` steps visits, from 1 to 0."""
    return tuple(1 - index / steps for index in range(steps + 1))


def draw_levels(count: int, generator: torch.Generator) -> Tensor:
    """Draw noise levels (count,), denser near 1, where a sampler of few steps spends them."""
    return 1 - torch.rand(count, generator=generator) ** 2
