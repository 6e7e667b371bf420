"""Where the cursor is, as maps over the latent grid."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralos.shapes import Screen

_GAIN = 16.0
"""A table's looks move this much faster than other parameters: each is seen rarely."""

_REACH_LEFT_PX, _REACH_RIGHT_PX = 4, 20
_REACH_UP_PX, _REACH_DOWN_PX = 4, 24
"""How far a cursor reaches around the pointer, in screen pixels."""


class CursorTable(nn.Module):
    """A learned look of 3×3 cells for every place of the pointer within its cell.

    Between whole pixels the looks of the four around are blended.
    """

    def __init__(self, channels: int, screen: Screen) -> None:
        super().__init__()
        self.channels = channels
        self.screen = screen
        self.looks = nn.Parameter(torch.randn(screen.cell_px**2, 9 * channels) * 0.01)

    def forward(self, position_N2: Tensor) -> Tensor:
        """Put the looks at positions in simulated pixels (N, 2); return (N, channels, H, W)."""
        return place(*self.blocks(position_N2), self.screen)

    def blocks(self, position_N2: Tensor) -> tuple[Tensor, Tensor]:
        """Return the looks (N, 36, channels) to add up, and the padded cell of each (N, 36)."""
        places, cells, shares = _corners(position_N2, self.screen)
        blocks = F.embedding(places, self.looks * _GAIN) * shares.unsqueeze(2)
        three = torch.arange(3, device=cells.device)
        around = three[:, None] * (self.screen.grid_width + 2) + three
        targets = (cells.unsqueeze(2) + around.flatten()).flatten(1)
        return blocks.view(len(blocks), -1, self.channels), targets


def place(blocks: Tensor, cells: Tensor, screen: Screen) -> Tensor:
    """Add blocks (N, 36, X) onto an empty grid at padded cells (N, 36); return (N, X, H, W)."""
    count, _, channels = blocks.shape
    rows, columns = screen.grid_height + 2, screen.grid_width + 2
    grid = blocks.new_zeros(count, rows * columns, channels).scatter_add(
        1, cells.unsqueeze(2).expand(-1, -1, channels), blocks
    )
    padded = grid.view(count, rows, columns, channels).permute(0, 3, 1, 2)
    return padded[:, :, 1:-1, 1:-1]


def pick(maps_NXHW: Tensor, cells: Tensor) -> Tensor:
    """Return what maps hold at padded cells (N, 36), 0 outside, as (N, 36, X)."""
    padded = F.pad(maps_NXHW, (1, 1, 1, 1)).flatten(2)
    index = cells.unsqueeze(1).expand(-1, padded.shape[1], -1)
    return padded.gather(2, index).transpose(1, 2)


def _corners(position_N2: Tensor, screen: Screen) -> tuple[Tensor, Tensor, Tensor]:
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
    cells = (rows // cell_px) * (screen.grid_width + 2) + columns // cell_px
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
