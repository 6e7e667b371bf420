"""The recurrent network of ``fast``: looks at the frame before, carries on, hands out a context."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralos.models.fast.config import TrackerConfig
from neuralos.models.fast.recurrence import make_recurrence

_HALVES = 2


class Tracker(nn.Module):
    """Numbers of an action and the frame before it, in time order, to a context per frame.

    Args:
        config: sizes.
        numbers: how many numbers an action has.
        seen: channels of what is known of the frame before.
        grid: rows and columns of the latent grid.

    Raises:
        ValueError: the grid cannot be halved as often as ``config.glance`` says.
    """

    def __init__(
        self, config: TrackerConfig, numbers: int, seen: int, grid: tuple[int, int]
    ) -> None:
        super().__init__()
        levels = len(config.glance)
        if any(side % _HALVES**levels for side in grid):
            raise ValueError(f"a grid of {grid[0]}×{grid[1]} cannot be halved {levels} times")
        coarse = grid[0] // _HALVES**levels, grid[1] // _HALVES**levels
        widths = (seen, *config.glance)
        self.glance = nn.Sequential()
        for before, after in pairwise(widths):
            self.glance.append(nn.Conv2d(before, after, 3, stride=2, padding=1))
            self.glance.append(nn.SiLU())
        looked = config.glance[-1] * coarse[0] * coarse[1]
        self.entry = nn.Linear(looked + numbers, config.hidden)
        self.recurrence = make_recurrence(config.hidden, config)
        self.level = nn.LayerNorm(config.hidden)
        head = _Upsampling if config.head == "upsampling" else _Linear
        self.head = head(config, coarse, grid)
        self.first = nn.Parameter(torch.zeros(self.recurrence.size))

    def forward(
        self, seen_BTIHW: Tensor, numbers_BTE: Tensor, carry_BS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Track a segment.

        Args:
            seen_BTIHW: what is known of the frame before each frame.
            numbers_BTE: the numbers of each action.
            carry_BS: what is carried.

        Returns:
            The context (N, X, H, W), N = B·T, and the new carry.
        """
        looked = self.glance(seen_BTIHW.flatten(0, 1)).flatten(1)
        looked = looked.view(*numbers_BTE.shape[:2], -1)
        entering = F.silu(self.entry(torch.cat((looked, numbers_BTE), 2)))
        leaving, carry = self.recurrence(entering, carry_BS)
        tracked = F.silu(entering + self.level(leaving)).flatten(0, 1)
        return self.head(tracked), carry


class _Upsampling(nn.Module):
    """One linear layer to a coarse grid, then doublings with half the channels each."""

    def __init__(
        self, config: TrackerConfig, coarse: tuple[int, int], grid: tuple[int, int]
    ) -> None:
        super().__init__()
        self._shape = (config.coarse, *coarse)
        self.start = nn.Linear(config.hidden, config.coarse * coarse[0] * coarse[1])
        width = config.coarse
        self.doublings = nn.ModuleList()
        for _ in config.glance:
            self.doublings.append(nn.Conv2d(width, width // _HALVES, 3, padding=1))
            width //= _HALVES
        self.out = nn.Conv2d(width, config.context, 1)

    def forward(self, tracked_NR: Tensor) -> Tensor:
        """Return the context (N, X, H, W)."""
        maps = self.start(tracked_NR).view(-1, *self._shape)
        for doubling in self.doublings:
            maps = F.silu(doubling(F.interpolate(F.silu(maps), scale_factor=2.0)))
        context: Tensor = self.out(maps)
        return context


class _Linear(nn.Module):
    """The paper's head: one layer straight to the context, most of the paper's parameters."""

    def __init__(
        self, config: TrackerConfig, coarse: tuple[int, int], grid: tuple[int, int]
    ) -> None:
        super().__init__()
        self._shape = (config.context, *grid)
        self.out = nn.Linear(config.hidden, config.context * grid[0] * grid[1])

    def forward(self, tracked_NR: Tensor) -> Tensor:
        """Return the context (N, X, H, W)."""
        context: Tensor = self.out(tracked_NR).view(-1, *self._shape)
        return context
