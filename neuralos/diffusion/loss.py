"""The diffusion loss: how far the predicted clean latent is from the true one."""

from __future__ import annotations

import torch
from torch import Tensor

from neuralos.diffusion.schedule import add_noise, draw_timesteps
from neuralos.models.denoiser import Denoiser, DrawingHint


def diffusion_loss(
    denoiser: Denoiser,
    clean_NCHW: Tensor,
    hint: DrawingHint,
    weight_NCHW: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Return the weighted x-prediction error at random timesteps.

    Args:
        denoiser: the network.
        clean_NCHW: true latents.
        hint: what each drawing is conditioned on.
        weight_NCHW: weight of each cell and component.
        generator: draws timesteps and noise.
    """
    timestep_N = draw_timesteps(len(clean_NCHW), generator)
    noise = torch.randn(clean_NCHW.shape, generator=generator)
    predicted = denoiser(add_noise(clean_NCHW, noise, timestep_N), timestep_N, hint)
    return weighted_error(predicted, clean_NCHW, weight_NCHW)


def weighted_error(predicted_NCHW: Tensor, clean_NCHW: Tensor, weight_NCHW: Tensor) -> Tensor:
    """Return the squared error averaged by weight."""
    error = (predicted_NCHW - clean_NCHW).square() * weight_NCHW
    return error.sum() / (weight_NCHW.sum() + 1)
