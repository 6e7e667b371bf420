"""The autoencoder of ``tiny``: a linear code of 8×8 patches, fitted in closed form, then frozen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from neuralos.models.autoencoder import Autoencoder
from neuralos.shapes import Screen

_LEAST_VARIANCE = 1e-6
"""A component below it shows nothing; divided by less it would blow up on other pictures."""


class PatchCode(Autoencoder):
    """Principal components of patches: pixels ↔ latents, one grid cell per patch.

    Each component of a latent is divided by its standard deviation, ``scale``.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self, components: int, screen: Screen) -> None:
        super().__init__()
        self.channels = components
        self._cell_px = screen.cell_px
        patch_size = 3 * screen.cell_px**2
        self.register_buffer("mean", torch.zeros(patch_size))
        self.register_buffer("basis", torch.zeros(components, patch_size))
        self.register_buffer("scale", torch.ones(components))

    @property
    def is_fitted(self) -> bool:
        """Whether it has been fitted or loaded."""
        return bool(self.basis.any())

    def unfit(self) -> None:
        """Go back to before ``fit``."""
        self.basis.zero_()

    def fit(self, frames: npt.NDArray[np.uint8]) -> None:
        """Fit the code to frames (N, Y, P, 3), deterministically on one machine."""
        patches = self._patches(torch.from_numpy(np.ascontiguousarray(frames)).to(self.device))
        flat = patches.permute(0, 2, 3, 1).reshape(-1, len(self.mean)).double()
        mean = flat.mean(0)
        covariance = (flat - mean).T @ (flat - mean) / len(flat)
        values, vectors = torch.linalg.eigh(covariance)
        components = len(self.scale)
        std = values.flip(0)[:components].clamp_min(_LEAST_VARIANCE).sqrt()
        self.mean.copy_(mean)
        self.basis.copy_(vectors.T.flip(0)[:components])
        self.scale.copy_(std)

    def importance(self) -> Tensor:
        """Return the weight of each component's error (C,), of mean 1.

        It is the standard deviation: between equal weights, which would be spent on
        components that nobody sees, and the variance, which would leave out the details.
        """
        return self.scale / self.scale.mean()

    def encode(self, frames_NYP3: Tensor) -> Tensor:
        """Return the latents (N, C, H, W) of uint8 frames (N, Y, P, 3)."""
        patches = self._patches(frames_NYP3)
        latents = (self.basis / self.scale[:, None]) @ (patches.flatten(2) - self.mean[:, None])
        return latents.view(len(frames_NYP3), -1, *patches.shape[2:])

    def decode(self, latent_NCHW: Tensor) -> Tensor:
        """Return the uint8 frames (N, Y, P, 3) of latents (N, C, H, W)."""
        patches = (self.basis * self.scale[:, None]).T @ latent_NCHW.flatten(2)
        patches = (patches + self.mean[:, None]).view(len(latent_NCHW), -1, *latent_NCHW.shape[2:])
        pixels = F.pixel_shuffle(patches, self._cell_px).permute(0, 2, 3, 1)
        return ((pixels + 0.5) * 255).round().clamp(0, 255).to(torch.uint8)

    def cell_pixels(self, cells_MC: Tensor) -> Tensor:
        """Return the pixels (M, 3·cell²), in about [-0.5, 0.5], of the latents of cells."""
        return cells_MC @ (self.basis * self.scale[:, None]) + self.mean

    def cell_latents(self, pixels: Tensor) -> Tensor:
        """Return the latents (M, C) of the pixels of cells (M, 3·cell²)."""
        return (pixels - self.mean) @ (self.basis / self.scale[:, None]).T

    def shift(self, latent_NCHW: Tensor, by_N2: Tensor) -> Tensor:
        """Return latents of the pictures shifted by whole pixels x and y; edges are repeated."""
        count, _, height, width = latent_NCHW.shape
        patches = (self.basis * self.scale[:, None]).T @ latent_NCHW.flatten(2)
        patches = patches + self.mean[:, None]
        pixels = F.pixel_shuffle(patches.view(count, -1, height, width), self._cell_px)
        most_y, most_x = pixels.shape[2] - 1, pixels.shape[3] - 1
        x = torch.arange(most_x + 1, device=by_N2.device) - by_N2[:, :1].long()
        y = torch.arange(most_y + 1, device=by_N2.device) - by_N2[:, 1:].long()
        source = y.clamp(0, most_y)[:, :, None] * (most_x + 1) + x.clamp(0, most_x)[:, None]
        index = source.flatten(1)[:, None].expand(-1, 3, -1)
        shifted = pixels.flatten(2).gather(2, index).view_as(pixels)
        centred = F.pixel_unshuffle(shifted, self._cell_px).flatten(2) - self.mean[:, None]
        return ((self.basis / self.scale[:, None]) @ centred).view_as(latent_NCHW)

    def _patches(self, frames: Tensor) -> Tensor:
        """Return pixels in [-0.5, 0.5] as (N, 3·cell², H, W)."""
        pixels = frames.permute(0, 3, 1, 2).float() / 255 - 0.5
        return F.pixel_unshuffle(pixels, self._cell_px)
