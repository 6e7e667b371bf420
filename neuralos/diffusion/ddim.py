"""The published sampler: DDIM (arXiv 2010.02502) without noise, on timesteps of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralos.diffusion.noise_table import NoiseTable

PREDICTIONS = ("x0", "eps")
"""What the network gives: the clean latent, or the noise."""

Network = Callable[[Tensor, Tensor], Tensor]
"""From noisy latents (N, C, H, W) and integer timesteps (N,) to a prediction."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One call of the network: its timestep, the clean latent seen in it, what comes next."""

    timestep: int
    clean_NCHW: Tensor
    next_NCHW: Tensor


@dataclass(frozen=True, slots=True)
class Ladder:
    """The timesteps that a sampler of so many steps visits, from noisy to clean.

    ``alphas`` are the table's entries at ``timesteps``; ``lower`` those of the next one down,
    the last of which is the entry of timestep 0 and not 1.
    """

    timesteps: tuple[int, ...]
    alphas: tuple[float, ...]
    lower: tuple[float, ...]

    @classmethod
    def of(cls, table: NoiseTable, steps: int) -> Ladder:
        """Return the published ladder: 1, 1 + c, 1 + 2c, ... with c = timesteps // steps.

        Where ``steps`` does not divide the table, there is one timestep more than steps; for
        one step there is only the noisiest timestep.

        Raises:
            ValueError: the ladder would leave the table, as the published one does.
        """
        if not 1 <= steps <= table.timesteps:
            raise ValueError(f"{steps} sampler steps are not among 1 to {table.timesteps}")
        if steps == 1:
            rising = [table.timesteps - 1]
        else:
            rising = [1 + low for low in range(0, table.timesteps, table.timesteps // steps)]
        if rising[-1] >= table.timesteps:
            raise ValueError(
                f"{steps} sampler steps end beyond the noise schedule; a divisor of "
                f"{table.timesteps} never does"
            )
        falling = rising[::-1]
        alphas, below = table.alpha_S[falling], table.alpha_S[[*falling[1:], 0]]
        return cls(tuple(falling), tuple(alphas.tolist()), tuple(below.tolist()))


def sample_ddim(network: Network, noise_NCHW: Tensor, ladder: Ladder, prediction: str) -> Tensor:
    """Return latents (N, C, H, W) drawn from noise.

    Args:
        network: what is asked at each timestep.
        noise_NCHW: where the sampler starts.
        ladder: the timesteps; of a single one the clean latent is taken as it is.
        prediction: ``x0`` or ``eps``.
    """
    latent = noise_NCHW
    for evaluation in evaluations(network, noise_NCHW, ladder, prediction):
        single = len(ladder.timesteps) == 1
        latent = evaluation.clean_NCHW if single else evaluation.next_NCHW
    return latent


def evaluations(
    network: Network, noise_NCHW: Tensor, ladder: Ladder, prediction: str
) -> Iterator[Evaluation]:
    """Yield the sampler's calls of the network in their order; arguments as ``sample_ddim``'s."""
    latent = noise_NCHW
    rungs = zip(ladder.timesteps, ladder.alphas, ladder.lower, strict=True)
    for timestep, alpha, lower in rungs:
        at = torch.full((len(latent),), timestep, device=latent.device)
        given = network(latent, at)
        clean = given if prediction == "x0" else clean_of(latent, given, alpha)
        noise = (latent - alpha**0.5 * clean) / (1 - alpha) ** 0.5
        latent = lower**0.5 * clean + (1 - lower) ** 0.5 * noise
        yield Evaluation(timestep, clean, latent)


def clean_of(noisy_NCHW: Tensor, noise_NCHW: Tensor, alpha: float) -> Tensor:
    """Return the clean latent that a predicted noise means."""
    clean: Tensor = (noisy_NCHW - (1 - alpha) ** 0.5 * noise_NCHW) / alpha**0.5
    return clean
