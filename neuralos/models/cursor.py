"""Where the cursor is, as maps over the latent grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralos.shapes import Screen

_GAIN = 16.0
"""A table's looks move this much faster than other parameters: each is seen rarely."""

_REACH_LEFT_PX, _REACH_RIGHT_PX = 4, 20
_REACH_UP_PX, _REACH_DOWN_PX = 4, 24
"""How far a cursor reaches around the pointer, in screen pixels."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How many cells around the pointer's own a cursor may reach on a screen.

    At 128×96 pixels that is one on each side, and at 512×384 three to the right and below.
    """

    left: int
    right: int
    up: int
    down: int

    @classmethod
    def on(cls, screen: Screen) -> Reach:
        """Return the reach on a screen."""
        step_px = screen.reduction * screen.cell_px
        # The pointer may be in the last pixel of its cell.
        last_px = step_px - screen.reduction
        return cls(
            left=-(-_REACH_LEFT_PX // step_px),
            right=(last_px + _REACH_RIGHT_PX) // step_px,
            up=-(-_REACH_UP_PX // step_px),
            down=(last_px + _REACH_DOWN_PX) // step_px,
        )

    @property
    def cells(self) -> int:
        """How many cells that makes."""
        return (self.left + 1 + self.right) * (self.up + 1 + self.down)


class CursorTable(nn.Module):
    """A learned look of all the cells that the cursor reaches, for every place in its cell.

    Between whole pixels the looks of the four around are blended. A look has L cells, 9 at
    128×96 pixels.
    """

    def __init__(self, channels: int, screen: Screen) -> None:
        super().__init__()
        self.channels = channels
        self.screen = screen
        self.reach = Reach.on(screen)
        size = self.reach.cells * channels
        self.looks = nn.Parameter(torch.randn(screen.cell_px**2, size) * 0.01)

    def forward(self, position_N2: Tensor) -> Tensor:
        """Put the looks at positions in simulated pixels (N, 2); return (N, channels, H, W)."""
        return place(*self.blocks(position_N2), self.screen)

    def blocks(self, position_N2: Tensor) -> tuple[Tensor, Tensor]:
        """Return the looks (N, 4·L, channels) to add up, and each one's padded cell (N, 4·L)."""
        reach = self.reach
        places, cells, shares = _corners(position_N2, self.screen, reach)
        blocks = F.embedding(places, self.looks * _GAIN) * shares.unsqueeze(2)
        rows = torch.arange(reach.up + 1 + reach.down, device=cells.device)
        columns = torch.arange(reach.left + 1 + reach.right, device=cells.device)
        around = rows[:, None] * _padded_width(self.screen, reach) + columns
        targets = (cells.unsqueeze(2) + around.flatten()).flatten(1)
        return blocks.view(*targets.shape, self.channels), targets


def place(blocks: Tensor, cells: Tensor, screen: Screen) -> Tensor:
    """Add blocks (N, 4·L, X) onto an empty grid at padded cells; return (N, X, H, W)."""
    count, _, channels = blocks.shape
    reach = Reach.on(screen)
    rows, columns = reach.up + screen.grid_height + reach.down, _padded_width(screen, reach)
    grid = blocks.new_zeros(count, rows * columns, channels).scatter_add(
        1, cells.unsqueeze(2).expand(-1, -1, channels), blocks
    )
    padded = grid.view(count, rows, columns, channels).permute(0, 3, 1, 2)
    bottom, right = reach.up + screen.grid_height, reach.left + screen.grid_width
    return padded[:, :, reach.up : bottom, reach.left : right]


def pick(maps_NXHW: Tensor, cells: Tensor, screen: Screen) -> Tensor:
    """Return what maps hold at padded cells (N, 4·L), 0 outside, as (N, 4·L, X)."""
    reach = Reach.on(screen)
    margins = (reach.left, reach.right, reach.up, reach.down)
    padded = F.pad(maps_NXHW, margins).flatten(2)
    index = cells.unsqueeze(1).expand(-1, padded.shape[1], -1)
    return padded.gather(2, index).transpose(1, 2)


def _padded_width(screen: Screen, reach: Reach) -> int:
    return reach.left + screen.grid_width + reach.right


def _corners(position_N2: Tensor, screen: Screen, reach: Reach) -> tuple[Tensor, Tensor, Tensor]:
    """Return place, cell of the padded grid at the block's corner, and share, each (N, 4)."""
    x = position_N2[:, 0].clamp(0, screen.width_px - 1.001)
    y = position_N2[:, 1].clamp(0, screen.height_px - 1.001)
    left, top = x.floor(), y.floor()
    right_share, low_share = x - left, y - top
    shares = torch.stack(
        (
            (1 - right_share) * (1 - low_share),
            right_share * (1 - low_share),
            (1 - right_share) * low_share,
            right_share * low_share,
        ),
        1,
    )
    columns = torch.stack((left, left + 1, left, left + 1), 1).long()
    rows = torch.stack((top, top, top + 1, top + 1), 1).long()
    cell_px = screen.cell_px
    places = (rows % cell_px) * cell_px + columns % cell_px
    cells = (rows // cell_px) * _padded_width(screen, reach) + columns // cell_px
    return places, cells, shares


def cursor_cell(position_N2: Tensor, screen: Screen) -> Tensor:
    """Return the index (N,) of the cell that holds each position, row by row."""
    column = (position_N2[:, 0] / screen.cell_px).long().clamp(0, screen.grid_width - 1)
    row = (position_N2[:, 1] / screen.cell_px).long().clamp(0, screen.grid_height - 1)
    return row * screen.grid_width + column


def covered_cells(position_N2: Tensor, screen: Screen) -> Tensor:
    """Return which cells the cursor may cover, bool (N, 1, H, W)."""
    cell_px, reduction = screen.cell_px, screen.reduction
    left = torch.arange(screen.grid_width, device=position_N2.device) * cell_px
    top = torch.arange(screen.grid_height, device=position_N2.device) * cell_px
    x, y = position_N2[:, :1], position_N2[:, 1:]
    columns = left < x + _REACH_RIGHT_PX / reduction
    columns &= left + cell_px > x - _REACH_LEFT_PX / reduction
    rows = top < y + _REACH_DOWN_PX / reduction
    rows &= top + cell_px > y - _REACH_UP_PX / reduction
    return (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)
