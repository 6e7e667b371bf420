"""Segments in which some of the frames that are fed back are the model's own.

With one own frame this is the paper's scheduled sampling (arXiv 2507.08800, section 4); with
more, a rollout that the model then learns to recover from.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from neuralos.data.batch import Batch
from neuralos.keyed import torch_generator
from neuralos.models.state import SimulatorState
from neuralos.training.trainable import LatentModel


@torch.no_grad()
def with_own_frames(
    model: LatentModel,
    batch: Batch,
    state: SimulatorState,
    count: int,
    sampler_steps: int,
    generator: torch.Generator,
) -> Batch:
    """Return a batch whose last ``count`` frames before the last one are drawn by the model.

    Each is drawn from what was drawn before it, without gradients.

    Args:
        model: draws.
        batch: the true segments.
        state: what was carried up to them.
        count: how many frames; at most all but the first and the last of T + 1.
        sampler_steps: of each drawing.
        generator: its seed keys the noise of each lane and frame.
    """
    latent, action, keys = batch.latent_BUCHW.clone(), batch.action_BUA, batch.keys_BTK
    last = latent.shape[1] - 1
    first = max(1, last - count)
    if first > 1:
        known = slice(0, first)
        _, state = model.unroll(latent[:, known], action[:, known], keys[:, : first - 1], state)
    for u in range(first, last):
        pair = slice(u - 1, u + 1)
        context, state = model.unroll(latent[:, pair], action[:, pair], keys[:, u - 1 : u], state)
        noise = torch.stack(
            [
                torch.randn(latent.shape[2:], generator=lane_generator(generator, lane, u))
                for lane in batch.lane_B.tolist()
            ]
        )
        drawn = model.sample(noise.to(latent.device), context[:, 0], sampler_steps)
        latent[:, u] = drawn.to(latent.dtype)
    return replace(batch, latent_BUCHW=latent)


def lane_generator(generator: torch.Generator, lane: int, what: str | int) -> torch.Generator:
    """Return the generator of one lane's draws: the same whatever other lanes there are."""
    return torch_generator(generator.initial_seed(), "lane", lane, what)
