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
    weight_N1HW: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Return the weighted x-prediction error at random timesteps.

    Args:
        denoiser: the network.
        clean_NCHW: true latents.
        hint: what each drawing is conditioned on.
        weight_N1HW: weight of each cell.
        generator: draws timesteps and noise.
    """
    timestep_N = draw_timesteps(len(clean_NCHW), generator)
    noise = torch.randn(clean_NCHW.shape, generator=generator)
    predicted = denoiser(add_noise(clean_NCHW, noise, timestep_N), timestep_N, hint)
    return weighted_error(predicted, clean_NCHW, weight_N1HW)


def weighted_error(predicted_NCHW: Tensor, clean_NCHW: Tensor, weight_N1HW: Tensor) -> Tensor:
    """Return the mean squared error per channel, averaged over cells by weight."""
    error = (predicted_NCHW - clean_NCHW).square().mean(1, keepdim=True)
    return (error * weight_N1HW).sum() / (weight_N1HW.sum() + 1)
