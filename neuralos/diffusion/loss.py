"""The diffusion loss: how far the predicted clean latent is from the true one."""

from __future__ import annotations

import torch
from torch import Tensor

from neuralos.diffusion.schedule import add_noise, draw_timesteps
from neuralos.models.denoiser import Denoiser, DrawingHint
from neuralos.ranks import ALONE, Whole

_SMALL = 0.1
"""Errors well below this count by their square, those above in proportion."""


def diffusion_loss(
    denoiser: Denoiser,
    clean_NCHW: Tensor,
    hint: DrawingHint,
    weight_NHW: Tensor,
    importance_C: Tensor,
    generator: torch.Generator,
    whole: Whole = ALONE,
) -> Tensor:
    """Return the weighted x-prediction error at random timesteps.

    Args:
        denoiser: the network.
        clean_NCHW: true latents.
        hint: what each drawing is conditioned on.
        weight_NHW: weight of each cell.
        importance_C: weight of each component.
        generator: draws timesteps and noise.
        whole: the drawings of all ranks that these are a part of.
    """
    timestep_N = whole.draw(_timesteps, clean_NCHW.shape[:1], generator)
    noise = whole.draw(torch.randn, clean_NCHW.shape, generator)
    weight = weight_NHW.sum()
    if len(clean_NCHW) == 0:
        # All drawings are other ranks'; not every layer takes an empty batch.
        return whole.mean(weight, weight, more=1)
    predicted = denoiser(add_noise(clean_NCHW, noise, timestep_N), timestep_N, hint)
    found, wanted = predicted.permute(0, 2, 3, 1), clean_NCHW.permute(0, 2, 3, 1)
    error_NHW = cell_error(found, wanted, importance_C)
    return whole.mean((error_NHW * weight_NHW).sum(), weight, more=1)


def _timesteps(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return draw_timesteps(shape[0], generator)


def cell_error(found: Tensor, wanted: Tensor, importance_C: Tensor) -> Tensor:
    """Return the pseudo-Huber error (arXiv 2310.14189) of cells, (..., C) to (...).

    Beside cells that cannot be guessed, such as those of a window being dragged, the
    details of all others would vanish in a squared error.
    """
    square = ((found - wanted).square() * importance_C).mean(-1)
    return (square + _SMALL**2).sqrt() - _SMALL
