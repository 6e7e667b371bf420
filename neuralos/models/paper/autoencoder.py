"""The public model's autoencoder: diffusers' ``AutoencoderKL`` and its latents' statistics."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from neuralos.models.autoencoder import Autoencoder
from neuralos.models.paper.config import PaperConfig

_HALF = 127.5
_LEAST_STD = 1e-4
"""A channel that hardly varies is not blown up."""


class KlAutoencoder(Autoencoder):
    """Frames to latents and back. Outside, latents are normalised per channel.

    ``mean`` and ``std`` (C,) are the statistics of raw latents.
    """

    mean: Tensor
    std: Tensor
    fitted: Tensor

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        self.channels = config.channels
        sizes = config.autoencoder
        levels = len(sizes.widths)
        self.kl = AutoencoderKL(
            in_channels=3,
            out_channels=3,
            latent_channels=config.channels,
            block_out_channels=sizes.widths,
            layers_per_block=sizes.layers,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            norm_num_groups=32,
            act_fn="silu",
            scaling_factor=1.0,
            sample_size=config.height_px,
        )
        self.register_buffer("mean", torch.zeros(config.channels))
        self.register_buffer("std", torch.ones(config.channels))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    @property
    def is_fitted(self) -> bool:
        """Whether weights and statistics have been set."""
        return bool(self.fitted)

    def set_statistics(self, mean_C: Tensor, std_C: Tensor) -> None:
        """Take the statistics of raw latents, after which the code is fitted."""
        self.mean.copy_(mean_C)
        self.std.copy_(std_C)
        self.fitted.fill_(True)

    @torch.no_grad()
    def fit(self, frames: npt.NDArray[np.uint8]) -> None:
        """Take the statistics of the latents of frames (N, Y, P, 3); weights stay."""
        raw = [self._mean_codes(self._bytes(frame[None])) for frame in frames]
        std, mean = torch.std_mean(torch.cat(raw), (0, 2, 3))
        self.set_statistics(mean, std.clamp_min(_LEAST_STD))

    def unfit(self) -> None:
        """Go back to latents as they are."""
        self.mean.zero_()
        self.std.fill_(1)
        self.fitted.fill_(False)

    def encode(self, frames_NYP3: Tensor) -> Tensor:
        """Return the normalised latents (N, C, H, W) of frames (uint8): the codes' means."""
        return self.normalise(self._mean_codes(frames_NYP3))

    def sample(self, image_N3YP: Tensor, noise_NCHW: Tensor) -> Tensor:
        """Return raw latents drawn from the codes of images in [-1, 1], as published."""
        code = self.kl.encode(image_N3YP).latent_dist
        drawn: Tensor = code.mean + code.std * noise_NCHW
        return drawn

    def codes(self, image_N3YP: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log-variances of the raw codes (N, C, H, W) of images in [-1, 1]."""
        code = self.kl.encode(image_N3YP).latent_dist
        return code.mean, code.logvar

    def image_of_raw(self, raw_NCHW: Tensor) -> Tensor:
        """Return the images (N, 3, Y, P) of raw latents, not yet cut to [-1, 1]."""
        image: Tensor = self.kl.decode(raw_NCHW.to(self.kl.dtype)).sample
        return image.float()

    def decode(self, latent_NCHW: Tensor) -> Tensor:
        """Return the frames (N, Y, P, 3) uint8 of normalised latents."""
        return frames_of(self.image(latent_NCHW))

    def image(self, latent_NCHW: Tensor) -> Tensor:
        """Return the images (N, 3, Y, P) of normalised latents, not yet cut to [-1, 1]."""
        return self.image_of_raw(self.denormalise(latent_NCHW))

    def normalise(self, raw_NCHW: Tensor) -> Tensor:
        """Return normalised latents."""
        return (raw_NCHW - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)

    def denormalise(self, latent_NCHW: Tensor) -> Tensor:
        """Return raw latents."""
        return latent_NCHW * self.std.view(-1, 1, 1) + self.mean.view(-1, 1, 1)

    def _mean_codes(self, frames_NYP3: Tensor) -> Tensor:
        image = image_of(frames_NYP3).to(self.kl.dtype)
        mean: Tensor = self.kl.encode(image).latent_dist.mean
        return mean.float()

    def _bytes(self, frames: npt.NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(frames)).to(self.mean.device)


def image_of(frames_NYP3: Tensor) -> Tensor:
    """Return images (N, 3, Y, P) in [-1, 1] of frames of bytes."""
    return frames_NYP3.permute(0, 3, 1, 2).float() / _HALF - 1


def frames_of(image_N3YP: Tensor) -> Tensor:
    """Return frames of bytes (N, Y, P, 3); what lies between two levels is cut off."""
    levels = (image_N3YP.clamp(-1, 1) + 1) * _HALF
    return levels.permute(0, 2, 3, 1).to(torch.uint8)
