"""The denoiser: a small diffusers UNet that draws the next latent from noise and context."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from neuralos.models.config import DenoiserConfig
from neuralos.models.cursor import CursorTable
from neuralos.shapes import Screen

_GAIN = 4.0
"""The layer that starts at zero gets to the size of a correction in larger steps."""


class Denoiser(nn.Module):
    """Predicts the clean latent as a draft plus a correction (x-prediction)."""

    def __init__(self, config: DenoiserConfig, channels: int, context: int, screen: Screen) -> None:
        super().__init__()
        coarse = len(config.widths) - 1
        self.look = nn.Conv2d(3 * channels, config.look, 1)
        self.table = CursorTable(config.cursor, screen)
        self.unet = UNet2DModel(
            sample_size=(screen.grid_height, screen.grid_width),
            in_channels=config.look + context + config.cursor,
            out_channels=config.widths[0],
            down_block_types=("DownBlock2D",) * (coarse + 1),
            up_block_types=("UpBlock2D",) * (coarse + 1),
            block_out_channels=config.widths,
            layers_per_block=config.layers,
            norm_num_groups=8,
            attention_head_dim=16,
        )
        self.out = nn.Conv2d(config.widths[0] + config.cursor, channels, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, noisy_NCHW: Tensor, timestep_N: Tensor, hint: DrawingHint) -> Tensor:
        """Return the clean latents (N, C, H, W).

        Args:
            noisy_NCHW: latents with noise.
            timestep_N: noise levels in [0, 1], (N,).
            hint: what the drawing is conditioned on.
        """
        look = self.look(torch.cat((noisy_NCHW, hint.previous, hint.draft), 1))
        table = self.table(hint.position)
        inputs = torch.cat((look, hint.context, table), 1)
        features = self.unet(inputs, timestep_N * 1000).sample
        correction: Tensor = _GAIN * self.out(torch.cat((features, table), 1))
        return hint.draft + correction


@dataclass(frozen=True, slots=True)
class DrawingHint:
    """What one drawing is conditioned on: N frames.

    ``previous`` and ``draft`` (N, C, H, W), ``context`` (N, X, H, W), ``position``
    (N, 2) of the pointer in simulated pixels.
    """

    previous: Tensor
    draft: Tensor
    context: Tensor
    position: Tensor

    def rows(self, index: Tensor) -> DrawingHint:
        """Return some of the frames."""
        return DrawingHint(
            self.previous[index], self.draft[index], self.context[index], self.position[index]
        )
