"""Which frames of a batch the denoiser sees, and what is drawn for each.

What is drawn for a lane depends on nothing but the generator's seed and the lane.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neuralos.training.own_frames import lane_generator


@dataclass(frozen=True, slots=True)
class ChosenFrames:
    """The frames that the denoiser sees, as places in B·T, and what is drawn for each.

    ``share_N`` is each one's share of its lane's weight; ``level_N`` is uniform in [0, 1).
    """

    place_N: Tensor
    share_N: Tensor
    level_N: Tensor
    noise_NCHW: Tensor


def bearing_weights(valid_BT: Tensor, loss_on: str) -> Tensor:
    """Return how much each frame's loss counts (B, T): 1 where it does.

    Args:
        valid_BT: which frames are no filling.
        loss_on: ``every`` frame, or the ``last`` valid one of each lane.
    """
    weight_BT = valid_BT.long()
    if loss_on == "last":
        weight_BT = weight_BT * (weight_BT.flip(1).cumsum(1).flip(1) == 1)
    return weight_BT.float()


def choose_frames(
    weight_BT: Tensor,
    changed_BT: Tensor,
    count: int,
    latent_shape: torch.Size,
    lane_B: Tensor,
    generator: torch.Generator,
) -> ChosenFrames:
    """Draw up to ``count`` frames of each lane, those with many changes more often.

    Args:
        weight_BT: how much each frame's loss counts.
        changed_BT: how much of each frame changed.
        count: how many; 0 is all.
        latent_shape: of the noise, (C, H, W).
        lane_B: which lanes these are.
        generator: its seed keys the draws.
    """
    frames, device = weight_BT.shape[1], weight_BT.device
    weights, changed = weight_BT.cpu(), changed_BT.cpu()
    places, shares, levels, noises = [], [], [], []
    for row, lane in enumerate(lane_B.tolist()):
        draws = lane_generator(generator, lane, "denoising")
        bearing = int((weights[row] > 0).sum())
        wanted = min(count, bearing) if count else bearing
        if wanted < bearing:
            drawn = torch.multinomial(changed[row] * weights[row], wanted, generator=draws)
        else:
            drawn = weights[row].nonzero().flatten()
        places.append(drawn + row * frames)
        shares.append((weights[row].sum() / wanted).expand(wanted))
        levels.append(torch.rand(wanted, generator=draws))
        noises.append(torch.randn(wanted, *latent_shape, generator=draws))
    drawn_for = (torch.cat(parts).to(device) for parts in (places, shares, levels, noises))
    return ChosenFrames(*drawn_for)
