"""The three networks of the public model, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neuralos.diffusion.noise_table import NoiseTable
from neuralos.models.paper.autoencoder import KlAutoencoder
from neuralos.models.paper.config import PaperConfig
from neuralos.models.paper.temporal_encoder import TemporalEncoder
from neuralos.models.paper.unet import build_unet


@dataclass(frozen=True)
class PaperParts:
    """Autoencoder, recurrent network and UNet (diffusers' ``UNet2DModel``) of one size."""

    config: PaperConfig
    autoencoder: KlAutoencoder
    temporal: TemporalEncoder
    unet: Any

    @classmethod
    def build(cls, config: PaperConfig) -> PaperParts:
        """Return the parts with their first weights, on the device in force."""
        return cls(config, KlAutoencoder(config), TemporalEncoder(config), build_unet(config))

    @classmethod
    def blank(cls, config: PaperConfig) -> PaperParts:
        """Return the parts without memory for weights, which are to be assigned."""
        with torch.device("meta"):
            parts = cls.build(config)
        for name, buffer in parts.autoencoder.named_buffers():
            parts.autoencoder.register_buffer(name, torch.zeros_like(buffer, device="cpu"))
        return parts

    def modules(self) -> dict[str, nn.Module]:
        """Return the parts that hold weights, under the names of their folders."""
        return {"vae": self.autoencoder.kl, "temporal_encoder": self.temporal, "unet": self.unet}

    def table(self) -> NoiseTable:
        """Return the noise schedule."""
        return NoiseTable(self.config.beta_start, self.config.beta_end)

    def predict(self, noisy_NCHW: Tensor, timestep_N: Tensor, context_NXHW: Tensor) -> Tensor:
        """Return what the UNet predicts, (N, C, H, W)."""
        inputs = torch.cat((noisy_NCHW, context_NXHW), 1).to(self.unet.dtype)
        predicted: Tensor = self.unet(inputs, timestep_N).sample
        return predicted.to(noisy_NCHW.dtype)
