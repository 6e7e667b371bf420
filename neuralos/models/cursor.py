"""Where the cursor is, as maps over the latent grid."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralos.shapes import GRID_HEIGHT, GRID_WIDTH, HEIGHT_PX, PATCH_PX, WIDTH_PX

PLACES = PATCH_PX * PATCH_PX
"""Places of the pointer within a cell, in whole pixels."""

_GAIN = 16.0
"""A table's looks move this much faster than other parameters: each is seen rarely."""

_REACH_LEFT_PX, _REACH_RIGHT_PX = 1.0, 5.0
_REACH_UP_PX, _REACH_DOWN_PX = 1.0, 6.0


class CursorTable(nn.Module):
    """A learned look of 3×3 cells for every place of the pointer within its cell.

    Between whole pixels the looks of the four around are blended.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.looks = nn.Parameter(torch.randn(PLACES, 9 * channels) * 0.01)

    def forward(self, position_N2: Tensor) -> Tensor:
        """Put the looks at positions in pixels (N, 2); return (N, channels, H, W)."""
        return place(*self.blocks(position_N2))

    def blocks(self, position_N2: Tensor) -> tuple[Tensor, Tensor]:
        """Return the looks (N, 36, channels) to add up, and the padded cell of each (N, 36)."""
        places, cells, shares = _corners(position_N2)
        blocks = F.embedding(places, self.looks * _GAIN) * shares.unsqueeze(2)
        around = torch.arange(3)[:, None] * (GRID_WIDTH + 2) + torch.arange(3)
        targets = (cells.unsqueeze(2) + around.flatten()).flatten(1)
        return blocks.view(len(blocks), -1, self.channels), targets


def place(blocks: Tensor, cells: Tensor) -> Tensor:
    """Add blocks (N, 36, X) onto an empty grid at padded cells (N, 36); return (N, X, H, W)."""
    count, _, channels = blocks.shape
    grid = torch.zeros(count, (GRID_HEIGHT + 2) * (GRID_WIDTH + 2), channels).scatter_add(
        1, cells.unsqueeze(2).expand(-1, -1, channels), blocks
    )
    padded = grid.view(count, GRID_HEIGHT + 2, GRID_WIDTH + 2, channels).permute(0, 3, 1, 2)
    return padded[:, :, 1:-1, 1:-1]


def pick(maps_NXHW: Tensor, cells: Tensor) -> Tensor:
    """Return what maps hold at padded cells (N, 36), 0 outside, as (N, 36, X)."""
    padded = F.pad(maps_NXHW, (1, 1, 1, 1)).flatten(2)
    index = cells.unsqueeze(1).expand(-1, padded.shape[1], -1)
    return padded.gather(2, index).transpose(1, 2)


def _corners(position_N2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return place, cell of the padded grid at the block's corner, and share, each (N, 4)."""
    x = position_N2[:, 0].clamp(0, WIDTH_PX - 1.001)
    y = position_N2[:, 1].clamp(0, HEIGHT_PX - 1.001)
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
    places = (rows % PATCH_PX) * PATCH_PX + columns % PATCH_PX
    cells = (rows // PATCH_PX) * (GRID_WIDTH + 2) + columns // PATCH_PX
    return places, cells, shares


def cursor_cell(position_N2: Tensor) -> Tensor:
    """Return the index (N,) of the cell that holds each position, row by row."""
    column = (position_N2[:, 0] / PATCH_PX).long().clamp(0, GRID_WIDTH - 1)
    row = (position_N2[:, 1] / PATCH_PX).long().clamp(0, GRID_HEIGHT - 1)
    return row * GRID_WIDTH + column


def covered_cells(position_N2: Tensor) -> Tensor:
    """Return which cells the cursor may cover, bool (N, 1, H, W)."""
    left = torch.arange(GRID_WIDTH) * PATCH_PX
    top = torch.arange(GRID_HEIGHT) * PATCH_PX
    x, y = position_N2[:, :1], position_N2[:, 1:]
    columns = (left < x + _REACH_RIGHT_PX) & (left + PATCH_PX > x - _REACH_LEFT_PX)
    rows = (top < y + _REACH_DOWN_PX) & (top + PATCH_PX > y - _REACH_UP_PX)
    return (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)
