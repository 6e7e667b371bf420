"""The published noise schedule: a table of variances, linear in their square roots."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

TIMESTEPS = 1000
BETA_START = 0.0015
BETA_END = 0.0195

_LEAST_VARIANCE = 1e-20
"""The variance at timestep 0 is zero; its logarithm is taken of this."""


@dataclass(frozen=True)
class NoiseTable:
    """Noise levels by timestep (NeuralOS, arXiv 2507.08800, and its published code).

    ``alpha_S`` (timesteps,) float32 is the share of the clean latent's variance that is
    left at each timestep.
    """

    start: float = BETA_START
    end: float = BETA_END
    timesteps: int = TIMESTEPS
    alpha_S: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compute the table.

        Raises:
            ValueError: the variances do not grow within (0, 1), or there are none.
        """
        if not (0 < self.start < self.end < 1 and self.timesteps > 1):
            raise ValueError(f"no noise schedule from {self.start} to {self.end}")
        object.__setattr__(self, "alpha_S", self._alpha().float())

    def add_noise(self, clean_NCHW: Tensor, noise_NCHW: Tensor, timestep_N: Tensor) -> Tensor:
        """Return latents at integer timesteps (N,)."""
        alpha = self.alpha_S.to(clean_NCHW.device)[timestep_N].view(-1, 1, 1, 1)
        alpha = alpha.to(clean_NCHW.dtype)
        return alpha.sqrt() * clean_NCHW + (1 - alpha).sqrt() * noise_NCHW

    def vectors(self) -> dict[str, Tensor]:
        """Return the twelve vectors that published checkpoints hold beside the weights."""
        beta, alpha = self._beta(), self._alpha()
        before = torch.cat((torch.ones(1, dtype=torch.float64), alpha[:-1]))
        variance = beta * (1 - before) / (1 - alpha)
        vectors = {
            "betas": beta,
            "alphas_cumprod": alpha,
            "alphas_cumprod_prev": before,
            "sqrt_alphas_cumprod": alpha.sqrt(),
            "sqrt_one_minus_alphas_cumprod": (1 - alpha).sqrt(),
            "log_one_minus_alphas_cumprod": (1 - alpha).log(),
            "sqrt_recip_alphas_cumprod": (1 / alpha).sqrt(),
            "sqrt_recipm1_alphas_cumprod": (1 / alpha - 1).sqrt(),
            "posterior_variance": variance,
            "posterior_log_variance_clipped": variance.clamp(min=_LEAST_VARIANCE).log(),
            "posterior_mean_coef1": beta * before.sqrt() / (1 - alpha),
            "posterior_mean_coef2": (1 - before) * (1 - beta).sqrt() / (1 - alpha),
        }
        return {name: vector.float() for name, vector in vectors.items()}

    def _beta(self) -> Tensor:
        ends = self.start**0.5, self.end**0.5
        return torch.linspace(*ends, self.timesteps, dtype=torch.float64, device="cpu").square()

    def _alpha(self) -> Tensor:
        return (1 - self._beta()).cumprod(0)


VECTOR_NAMES = tuple(NoiseTable().vectors())
"""The names of the twelve vectors."""
