"""The renderer of ``fast``: a diffusers UNet, preconditioned as its path asks."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from neuralos.diffusion.paths import Draws, NoisePath
from neuralos.models.fast.config import RendererConfig
from neuralos.shapes import Screen

_TOLD_TIMES = 1000
"""Levels and strides in [0, 1] are told the UNet as if there were so many timesteps."""


@dataclass(frozen=True, slots=True)
class RenderHint:
    """What one drawing is conditioned on: N frames.

    ``previous``, ``memory`` and ``draft`` (N, C, H, W), ``context`` (N, X, H, W), ``maps``
    (N, M, H, W) of the action.
    """

    previous: Tensor
    memory: Tensor
    draft: Tensor
    context: Tensor
    maps: Tensor

    def rows(self, index: Tensor) -> RenderHint:
        """Return some of the frames."""
        return RenderHint(*(getattr(self, field.name)[index] for field in fields(self)))


class Renderer(nn.Module):
    """Predicts the clean latent from one on the path (x-prediction).

    Args:
        config: sizes.
        path: from latents to what the sampler starts from.
        channels: of a latent.
        context: channels of context and maps together.
        screen: what is drawn.
    """

    def __init__(
        self, config: RendererConfig, path: NoisePath, channels: int, context: int, screen: Screen
    ) -> None:
        super().__init__()
        self.path = path
        down = tuple("AttnDownBlock2D" if flag else "DownBlock2D" for flag in config.attention)
        up = tuple("AttnUpBlock2D" if flag else "UpBlock2D" for flag in config.attention[::-1])
        self.unet = UNet2DModel(
            sample_size=(screen.grid_height, screen.grid_width),
            in_channels=4 * channels + context,
            out_channels=channels,
            block_out_channels=config.widths,
            layers_per_block=config.layers,
            down_block_types=down,
            up_block_types=up,
            attention_head_dim=config.head_channels,
            norm_num_groups=config.groups,
            class_embed_type="timestep" if path.config.shortcuts else None,
        )
        for parameter in self.unet.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, noisy_NCHW: Tensor, level_N: Tensor, stride_N: Tensor, hint: RenderHint
    ) -> Tensor:
        """Return the clean latents (N, C, H, W); see ``diffusion.paths.Draws``."""
        scales = self.path.scales(level_N)
        apart = noisy_NCHW - hint.draft if self.path.is_centred else noisy_NCHW
        inputs = (
            apart * _wide(scales.input),
            hint.previous,
            hint.memory,
            hint.draft,
            hint.context,
            hint.maps,
        )
        told = stride_N * _TOLD_TIMES if self.path.config.shortcuts else None
        drawn = self.unet(torch.cat(inputs, 1), level_N * _TOLD_TIMES, class_labels=told).sample
        clean: Tensor = hint.draft + _wide(scales.skip) * apart + _wide(scales.output) * drawn
        return clean

    def given(self, hint: RenderHint) -> Draws:
        """Return the denoiser with its hints at hand."""

        def draws(noisy_NCHW: Tensor, level_N: Tensor, stride_N: Tensor) -> Tensor:
            clean: Tensor = self(noisy_NCHW, level_N, stride_N, hint)
            return clean

        return draws


def _wide(numbers_N: Tensor) -> Tensor:
    return numbers_N.view(-1, 1, 1, 1)
