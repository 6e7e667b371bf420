"""The small convolutional autoencoder of ``fast``: diffusers' ``AutoencoderTiny``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from neuralos.models.autoencoder import Autoencoder
from neuralos.models.fast.config import SmallAutoencoderConfig
from neuralos.models.paper.autoencoder import image_of
from neuralos.shapes import Screen

_HALF = 127.5
_FRAMES_AT_ONCE = 8


class SmallAutoencoder(Autoencoder):
    """Frames to latents and back with few operations, so that decoding is no bottleneck.

    Raw latents are normalised by ``mean`` and ``std`` (C,) of each channel, which ``fit``
    measures once the network is trained; ``std`` is 0 until then.

    Args:
        channels: of a latent.
        config: sizes.
        screen: each level but the last halves the grid, down to its cells.

    Raises:
        ValueError: the levels do not end at the screen's cells.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, config: SmallAutoencoderConfig, screen: Screen) -> None:
        super().__init__()
        levels = len(config.encoder_blocks)
        if len(config.decoder_blocks) != levels or 2 ** (levels - 1) != screen.cell_px:
            raise ValueError(f"{levels} levels of blocks do not make cells of {screen.cell_px} px")
        self.channels = channels
        widths = (config.width,) * levels
        self.network = AutoencoderTiny(
            encoder_block_out_channels=widths,
            decoder_block_out_channels=widths,
            num_encoder_blocks=config.encoder_blocks,
            num_decoder_blocks=config.decoder_blocks,
            latent_channels=channels,
        )
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.zeros(channels))

    @property
    def is_fitted(self) -> bool:
        """Whether the statistics of its latents are known."""
        return bool(self.std.any())

    def unfit(self) -> None:
        """Forget the statistics."""
        self.mean.zero_()
        self.std.zero_()

    @torch.no_grad()
    def fit(self, frames: npt.NDArray[np.uint8]) -> None:
        """Measure mean and deviation of each channel's raw latents on frames (N, Y, P, 3)."""
        image = torch.from_numpy(np.ascontiguousarray(frames)).to(self.mean.device)
        raw = [self.raw(image_of(part)).double() for part in torch.split(image, _FRAMES_AT_ONCE)]
        flat = torch.cat(raw).transpose(0, 1).flatten(1)
        self.mean.copy_(flat.mean(1))
        self.std.copy_(flat.std(1).clamp_min(1e-4))

    def encode(self, frames_NYP3: Tensor) -> Tensor:
        """Return the normalised latents (N, C, H, W) of uint8 frames."""
        return (self.raw(image_of(frames_NYP3)) - self.mean.view(-1, 1, 1)) / self._scale()

    def decode(self, latent_NCHW: Tensor) -> Tensor:
        """Return the uint8 frames (N, Y, P, 3) of normalised latents."""
        image = self.image(latent_NCHW).float()
        levels = ((image + 1) * _HALF).round().clamp(0, 255)
        return levels.permute(0, 2, 3, 1).to(torch.uint8)

    def raw(self, image_N3YP: Tensor) -> Tensor:
        """Return the latents (N, C, H, W) of images in [-1, 1], not yet normalised."""
        raw: Tensor = self.network.encoder(image_N3YP)
        return raw

    def codes(self, image_N3YP: Tensor) -> tuple[Tensor, None]:
        """Return the raw latents (N, C, H, W) of images in [-1, 1]; they have no variance."""
        return self.raw(image_N3YP), None

    def image(self, latent_NCHW: Tensor) -> Tensor:
        """Return the images (N, 3, Y, P) of normalised latents, not yet cut to [-1, 1]."""
        return self.image_of_raw(latent_NCHW * self._scale() + self.mean.view(-1, 1, 1))

    def image_of_raw(self, raw_NCHW: Tensor) -> Tensor:
        """Return the images (N, 3, Y, P) of raw latents."""
        image: Tensor = self.network.decoder(raw_NCHW)
        return image

    def _scale(self) -> Tensor:
        # Before it is fitted latents stay as they are.
        return (self.std + (self.std == 0)).view(-1, 1, 1)
