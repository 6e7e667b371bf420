"""What an action says: numbers for the recurrent network, and maps over the latent grid."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuralos.data.encode import (
    CLICKED,
    DOUBLE,
    HELD,
    KEY_SLOTS,
    KEY_TABLE,
    PERIODS,
    WHEEL,
)
from neuralos.models.cursor import CursorTable
from neuralos.models.fast.config import InputConfig
from neuralos.shapes import Screen

_SIGMA_CELLS = 1.0
"""Standard deviation of the bump around the pointer (arXiv 2507.08800, section 3)."""

_PLACE = 2


class ActionInputs(nn.Module):
    """Turns actions, in simulated pixels, and keys into numbers and maps."""

    told: Tensor
    """Which numbers of an action are told, beside its place."""

    def __init__(self, config: InputConfig, screen: Screen) -> None:
        super().__init__()
        self.config = config
        self.screen = screen
        told = _told(config)
        self.register_buffer("told", torch.tensor(told), persistent=False)
        self.keys = nn.Embedding(2 * KEY_TABLE, config.keys, padding_idx=0)
        self.table = CursorTable(config.table, screen) if config.cursor == "table" else None
        pointer = {"map": 1, "offsets": 3, "table": 1 + config.table}[config.cursor]
        self.size = _PLACE + 4 * config.waves + len(told) + config.keys
        self.maps = 2 * pointer + len(told)
        """Numbers of an action, and channels of its maps."""

    def numbers(self, action_NA: Tensor, keys_NK: Tensor) -> Tensor:
        """Return place, waves of the place, what is told of the action, and keys, (N, size)."""
        x = action_NA[:, :1] * (2 / self.screen.width_px) - 1
        y = action_NA[:, 1:2] * (2 / self.screen.height_px) - 1
        place = torch.cat((x, y), 1)
        octaves = 2.0 ** torch.arange(self.config.waves, device=place.device)
        turns = (place.unsqueeze(2) * octaves * torch.pi).flatten(1)
        told = action_NA.index_select(1, self.told)
        return torch.cat((place, turns.sin(), turns.cos(), told, self._pool(keys_NK)), 1)

    def grid(self, action_NA: Tensor, before_NA: Tensor) -> Tensor:
        """Return the maps (N, maps, H, W): the pointer now and before, what it did now."""
        now, before = (self._pointer(one[:, :2]) for one in (action_NA, before_NA))
        told = action_NA.index_select(1, self.told)[:, :, None, None] * now[:, :1]
        return torch.cat((now, before, told), 1)

    def _pointer(self, position_N2: Tensor) -> Tensor:
        screen = self.screen
        x, y = position_N2[:, :1] / screen.cell_px, position_N2[:, 1:] / screen.cell_px
        # The published map counts from the corner of a cell, not from its centre.
        right = torch.arange(screen.grid_width, device=x.device) - x
        down = torch.arange(screen.grid_height, device=x.device) - y
        apart = right.square().unsqueeze(1) + down.square().unsqueeze(2)
        bump = torch.exp(-apart / (2 * _SIGMA_CELLS**2)).unsqueeze(1)
        if self.table is not None:
            return torch.cat((bump, self.table(position_N2)), 1)
        if self.config.cursor == "offsets":
            return torch.cat((bump, bump * right[:, None, None], bump * down[:, None, :, None]), 1)
        return bump

    def _pool(self, keys_NK: Tensor) -> Tensor:
        held = torch.arange(KEY_SLOTS, device=keys_NK.device) >= KEY_SLOTS // 2
        pooled: Tensor = self.keys(keys_NK + held * KEY_TABLE * (keys_NK > 0)).sum(1)
        return pooled


def _told(config: InputConfig) -> tuple[int, ...]:
    """Return which numbers of an action are told, beside its place."""
    told = list(range(CLICKED.start, CLICKED.stop))
    if config.buttons:
        told += [*range(HELD.start, HELD.stop), DOUBLE]
    if config.wheel:
        told.append(WHEEL)
    if config.period:
        told.append(PERIODS)
    return tuple(told)
