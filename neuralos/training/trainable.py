"""What objectives ask: of a simulator its networks apart, of an autoencoder its codes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from neuralos.models.state import SimulatorState


class NoiseLevels(Protocol):
    """A noise schedule of integer timesteps, from clean to noisy."""

    @property
    def timesteps(self) -> int:
        """How many there are."""
        ...

    def add_noise(self, clean_NCHW: Tensor, noise_NCHW: Tensor, timestep_N: Tensor) -> Tensor:
        """Return noisy latents (N, C, H, W)."""
        ...


@runtime_checkable
class LatentModel(Protocol):
    """A simulator whose recurrent network hands a context to a diffusion model.

    Its parameters are named by the parts that a stage trains: those of the autoencoder begin
    with ``autoencoder.``, those of the denoiser with ``denoiser.``, and all others are the
    recurrent network's.
    """

    @property
    def noise_table(self) -> NoiseLevels:
        """The noise schedule."""
        ...

    @property
    def prediction(self) -> str:
        """What ``denoise`` gives: the clean latent (``x0``) or the noise (``eps``)."""
        ...

    def unroll(
        self, latent_BUCHW: Tensor, action_BUA: Tensor, keys_BTK: Tensor, state: SimulatorState
    ) -> tuple[Tensor, SimulatorState]:
        """Track a segment whose frames are known.

        Args:
            latent_BUCHW: the frame before the first, then T frames; that of frame t is not
                read for the context of frame t. ``state.latent`` is not read.
            action_BUA: the action of each of these frames.
            keys_BTK: key indices of the last T frames.
            state: what was carried up to the frame before the first.

        Returns:
            The contexts (B, T, X, H, W), whose first C channels guess the frame's latent, and
            the state after the last frame.
        """
        ...

    def denoise(self, noisy_NCHW: Tensor, timestep_N: Tensor, context_NXHW: Tensor) -> Tensor:
        """Return the prediction (N, C, H, W) at integer timesteps."""
        ...

    def sample(self, noise_NCHW: Tensor, context_NXHW: Tensor, sampler_steps: int) -> Tensor:
        """Return the latents (N, C, H, W) that the sampler draws from noise."""
        ...


@runtime_checkable
class PixelCoder(Protocol):
    """An autoencoder that is trained by gradients, in images (N, 3, Y, P) in [-1, 1]."""

    def codes(self, image_N3YP: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return means of raw codes (N, C, H, W), and their log-variances where it has any."""
        ...

    def image_of_raw(self, raw_NCHW: Tensor) -> Tensor:
        """Return the images of raw codes, not cut to [-1, 1]."""
        ...
