"""What every autoencoder offers: frames to latents and back."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn


class Autoencoder(nn.Module, ABC):
    """Pixels ↔ latents; the other parts see normalised latents only (arXiv 2507.08800, 3.1)."""

    channels: int
    """Channels of a latent."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(chain(self.parameters(), self.buffers())).device

    @property
    @abstractmethod
    def is_fitted(self) -> bool:
        """Whether it has been fitted or loaded, so that latents mean something."""

    @abstractmethod
    def fit(self, frames: npt.NDArray[np.uint8]) -> None:
        """Settle what is computed in one pass from frames (N, Y, P, 3), before latents are read.

        That is all of a closed-form code; of a trained one the statistics of its latents.
        """

    @abstractmethod
    def unfit(self) -> None:
        """Go back to before ``fit``."""

    @abstractmethod
    def encode(self, frames_NYP3: Tensor) -> Tensor:
        """Return the normalised latents (N, C, H, W) of uint8 frames."""

    @abstractmethod
    def decode(self, latent_NCHW: Tensor) -> Tensor:
        """Return the uint8 frames (N, Y, P, 3) of normalised latents."""

    def importance(self) -> Tensor:
        """Return the weight of each channel's error (C,), of mean 1."""
        return torch.ones(self.channels, device=self.device)

    def digest(self) -> str:
        """Return the hash that latents are keyed by."""
        digest = hashlib.blake2b(digest_size=16)
        for tensor in self.state_dict().values():
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()
