"""The autoencoder of ``tiny``: a linear code of 8×8 patches, fitted in closed form, then frozen."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralos.shapes import GRID_HEIGHT, GRID_WIDTH, PATCH_PX

PATCH_SIZE = 3 * PATCH_PX * PATCH_PX


class PatchCode(nn.Module):
    """Principal components of patches: pixels ↔ latents, one grid cell per patch.

    Each component of a latent is divided by its standard deviation, ``scale``.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self, components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(PATCH_SIZE))
        self.register_buffer("basis", torch.zeros(components, PATCH_SIZE))
        self.register_buffer("scale", torch.ones(components))

    def fit(self, frames: npt.NDArray[np.uint8]) -> None:
        """Fit the code to frames (N, Y, P, 3), deterministically on one machine."""
        patches = _patches(torch.from_numpy(np.ascontiguousarray(frames)))
        flat = patches.permute(0, 2, 3, 1).reshape(-1, PATCH_SIZE).double()
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

    def encode(self, frames: Tensor) -> Tensor:
        """Return the latents (N, C, H, W) of uint8 frames (N, Y, P, 3)."""
        centred = _patches(frames).flatten(2) - self.mean[:, None]
        latents = (self.basis / self.scale[:, None]) @ centred
        return latents.view(len(frames), -1, GRID_HEIGHT, GRID_WIDTH)

    def decode(self, latent_NCHW: Tensor) -> Tensor:
        """Return the uint8 frames (N, Y, P, 3) of latents (N, C, H, W)."""
        patches = (self.basis * self.scale[:, None]).T @ latent_NCHW.flatten(2)
        patches = (patches + self.mean[:, None]).view(-1, PATCH_SIZE, GRID_HEIGHT, GRID_WIDTH)
        pixels = F.pixel_shuffle(patches, PATCH_PX).permute(0, 2, 3, 1)
        return ((pixels + 0.5) * 255).round().clamp(0, 255).to(torch.uint8)

    def digest(self) -> str:
        """Return the hash that latents are keyed by."""
        parts = (self.mean, self.basis, self.scale)
        return hashlib.blake2b(
            b"".join(part.numpy().tobytes() for part in parts), digest_size=16
        ).hexdigest()


def _patches(frames: Tensor) -> Tensor:
    """Return pixels in [-0.5, 0.5] as (N, 192, H, W)."""
    pixels = frames.permute(0, 3, 1, 2).float() / 255 - 0.5
    return F.pixel_unshuffle(pixels, PATCH_PX)
