"""Where the cursor is, as maps over the latent grid."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from neuralos.shapes import GRID_HEIGHT, GRID_WIDTH, HEIGHT_PX, PATCH_PX, WIDTH_PX

CURSOR_CHANNELS = PATCH_PX * PATCH_PX
"""One channel per place within a cell: a 3×3 convolution over them is a table of looks."""

_REACH_LEFT_PX, _REACH_RIGHT_PX = 1.0, 5.0
_REACH_UP_PX, _REACH_DOWN_PX = 1.0, 6.0


def cursor_map(position_N2: Tensor) -> Tensor:
    """Splat pixel positions (N, 2) bilinearly; return (N, 64, H, W)."""
    x = position_N2[:, 0].clamp(0, WIDTH_PX - 1.001)
    y = position_N2[:, 1].clamp(0, HEIGHT_PX - 1.001)
    left, top = x.floor(), y.floor()
    right_share, low_share = x - left, y - top
    index = (top * WIDTH_PX + left).long()
    corners = torch.stack((index, index + 1, index + WIDTH_PX, index + WIDTH_PX + 1), 1)
    shares = torch.stack(
        (
            (1 - right_share) * (1 - low_share),
            right_share * (1 - low_share),
            (1 - right_share) * low_share,
            right_share * low_share,
        ),
        1,
    )
    pixels = torch.zeros(len(x), HEIGHT_PX * WIDTH_PX).scatter(1, corners, shares)
    return F.pixel_unshuffle(pixels.view(-1, 1, HEIGHT_PX, WIDTH_PX), PATCH_PX)


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
