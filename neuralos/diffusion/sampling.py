"""The sampler of few steps that draws a latent from noise."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from neuralos.diffusion.schedule import sampling_timesteps
from neuralos.models.denoiser import Denoiser, DrawingHint


def sample(denoiser: Denoiser, noise_NCHW: Tensor, hint: DrawingHint, steps: int) -> Tensor:
    """Return latents (N, C, H, W): ``steps`` Euler steps along the predicted straight line."""
    levels = sampling_timesteps(steps)
    latent = noise_NCHW
    for level, lower in pairwise(levels):
        clean = denoiser(latent, latent.new_full((len(latent),), level), hint)
        latent = clean + (latent - clean) * (lower / level)
    return latent
