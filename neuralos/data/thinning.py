"""Batches of which frames are left out, as if recorded more slowly: actions say how slowly."""

from __future__ import annotations

import torch
from torch import Tensor

from neuralos.data.batch import Batch
from neuralos.data.encode import CLICKED, DOUBLE, KEY_SLOTS, PERIODS, WHEEL, WHEEL_MOST

_HALF = KEY_SLOTS // 2


def thinned(batch: Batch, every: int) -> Batch:
    """Keep every n-th frame of a batch; its action is all that happened since the one before.

    Raises:
        ValueError: the frames of a segment are no multiple of ``every``.
    """
    frames = batch.valid_BT.shape[1]
    if frames % every:
        raise ValueError(f"of {frames} frames not every {every}th can be kept")
    if every == 1:
        return batch
    action, keys, valid = (
        one.reshape(len(one), frames // every, every, *one.shape[2:])
        for one in (batch.action_BUA[:, 1:], batch.keys_BTK, batch.valid_BT)
    )
    first = batch.action_BUA[:, :1]
    return Batch(
        batch.latent_BUCHW[:, ::every],
        torch.cat((first, _joined_actions(action)), 1),
        _joined_keys(keys),
        valid.all(2),
        batch.starts_B,
        batch.lane_B,
    )


def _joined_actions(action_BTNA: Tensor) -> Tensor:
    """Return actions (B, T, A): where the last one ended, and what happened in any."""
    joined = action_BTNA[:, :, -1].clone()
    joined[..., CLICKED] = action_BTNA[..., CLICKED].amax(2)
    joined[..., DOUBLE] = action_BTNA[..., DOUBLE].amax(2)
    joined[..., WHEEL] = action_BTNA[..., WHEEL].sum(2).clamp(-WHEEL_MOST, WHEEL_MOST)
    joined[..., PERIODS] = action_BTNA[..., PERIODS].sum(2)
    return joined


def _joined_keys(keys_BTNK: Tensor) -> Tensor:
    """Return key slots (B, T, K): the last ones held on, and those pressed in any, if they fit."""
    pressed = keys_BTNK[..., :_HALF].flatten(2)
    pressed = pressed.sort(2, descending=True).values[..., :_HALF]
    return torch.cat((pressed, keys_BTNK[:, :, -1, _HALF:]), 2)
