"""The public model's renderer: a diffusers UNet."""

from __future__ import annotations

from typing import Any

from diffusers import UNet2DModel

from neuralos.models.paper.config import PaperConfig


def build_unet(config: PaperConfig) -> Any:
    """Return the UNet that turns a noisy latent and the context into a prediction.

    It reads [noisy latent, context] on the channel axis and integer timesteps.
    """
    sizes = config.unet
    down = tuple("AttnDownBlock2D" if flag else "DownBlock2D" for flag in sizes.attention)
    up = tuple("AttnUpBlock2D" if flag else "UpBlock2D" for flag in reversed(sizes.attention))
    return UNet2DModel(
        sample_size=(config.grid_height, config.grid_width),
        in_channels=config.channels + config.temporal.context,
        out_channels=config.channels,
        block_out_channels=sizes.widths,
        layers_per_block=sizes.layers,
        down_block_types=down,
        up_block_types=up,
        attention_head_dim=sizes.head_channels,
        norm_eps=1e-5,
        norm_num_groups=32,
        flip_sin_to_cos=True,
        freq_shift=0,
        downsample_padding=1,
        resnet_time_scale_shift="default",
        act_fn="silu",
    )
