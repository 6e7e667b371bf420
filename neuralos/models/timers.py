"""What the simulator counts by itself: how long ago something was pressed, and where."""

from __future__ import annotations

import torch
from torch import Tensor

from neuralos.data.encode import CLICKED, DOUBLE, HELD, KEY_SLOTS, PERIODS, WHEEL

TIMERS = 4
"""Frame periods since the last left press, double click, right press, and key or wheel."""

ANCHORS = 4
"""Where the last left press and the last double click were: x and y of each, in pixels."""

_LONG_FRAMES = 160.0
"""A timer stops there: what happened is long ago, or not known."""

_WAVE_FRAMES = (128.0, 64.0, 32.0, 16.0, 8.0)
_DECAY_FRAMES = (1.5, 6.0, 24.0)

TIMER_NUMBERS = TIMERS * (2 * len(_WAVE_FRAMES) + len(_DECAY_FRAMES))

_LEFT_HELD = HELD.start
_LEFT, _RIGHT = CLICKED.start, CLICKED.stop - 1


def unknown(batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return timers (B, TIMERS) and anchors (B, ANCHORS) of which nothing is known."""
    timers = torch.full((batch, TIMERS), _LONG_FRAMES, device=device)
    return timers, torch.zeros(batch, ANCHORS, device=device)


def tick(
    timers: Tensor, anchors: Tensor, action_BA: Tensor, keys_BK: Tensor
) -> tuple[Tensor, Tensor]:
    """Return timers and anchors after one more frame, however many periods it took."""
    pressed_key = (keys_BK[:, : KEY_SLOTS // 2] > 0).any(1)
    left, double = action_BA[:, _LEFT] > 0, action_BA[:, DOUBLE] > 0
    right, typed = action_BA[:, _RIGHT] > 0, (action_BA[:, WHEEL] != 0) | pressed_key
    happened = torch.stack((left, double, right, typed), 1)
    timers = torch.where(
        happened, 0.0, (timers + action_BA[:, PERIODS, None]).clamp_max(_LONG_FRAMES)
    )
    here = action_BA[:, :2].repeat(1, 2)
    anchors = torch.where(torch.stack((left, left, double, double), 1), here, anchors)
    return timers, anchors


def timer_numbers(timers: Tensor) -> Tensor:
    """Return timers (N, TIMERS) as (N, TIMER_NUMBERS): waves, which tell 39 from 40, and decays."""
    frames = timers.unsqueeze(2)
    turns = torch.cat([frames * (2 * torch.pi / wave) for wave in _WAVE_FRAMES], -1)
    is_known = frames < _LONG_FRAMES
    decays = torch.cat([torch.exp(-frames / decay) for decay in _DECAY_FRAMES], -1)
    return torch.cat((turns.sin() * is_known, turns.cos() * is_known, decays), 2).flatten(1)


def displacement(anchors: Tensor, before_BA: Tensor, now_BA: Tensor, grid_px: float) -> Tensor:
    """Return by how many pixels (B, 2) a thing held by the pointer moves in this frame.

    It keeps its place to the pointer but for the grid that it snaps to: so the way since
    the press is rounded, not that of one frame, and no error adds up.
    """
    way_before, way_now = (
        ((action[:, :2] - anchors[:, :2]) / grid_px + 0.5).floor() * grid_px
        for action in (before_BA, now_BA)
    )
    held = before_BA[:, _LEFT_HELD : _LEFT_HELD + 1] > 0
    return torch.where(held, way_now - way_before, 0.0)
