"""The autoencoder of ``tiny``: a linear code of 8×8 patches, fitted in closed form, then frozen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from neuralos.models.autoencoder import Autoencoder
from neuralos.shapes import Screen


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
        std = values.flip(0)[:components].clamp_min(1e-8).sqrt()
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

    def _patches(self, frames: Tensor) -> Tensor:
        """Return pixels in [-0.5, 0.5] as (N, 3·cell², H, W)."""
        pixels = frames.permute(0, 3, 1, 2).float() / 255 - 0.5
        return F.pixel_unshuffle(pixels, self._cell_px)
