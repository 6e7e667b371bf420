"""Cells as rows, and cells cut into pieces of a few pixels."""

from __future__ import annotations

import math

from torch import Tensor

PIECES = 16
"""A cell is cut into 4×4 pieces."""

_SIDE = 4


def rows_of_cells(maps_NXHW: Tensor) -> Tensor:
    """Return maps as rows, one per cell, (N·H·W, X)."""
    return maps_NXHW.permute(0, 2, 3, 1).reshape(-1, maps_NXHW.shape[1])


def maps_of_cells(rows: Tensor, height: int, width: int) -> Tensor:
    """Return rows of cells (N·H·W, X) as maps (N, X, H, W)."""
    return rows.reshape(-1, height, width, rows.shape[1]).permute(0, 3, 1, 2)


def cut(pixels: Tensor) -> Tensor:
    """Return pixels of cells (M, 3·cell²) by piece, (M, PIECES, 3·piece²)."""
    piece_px = _piece_px(pixels.shape[1])
    apart = pixels.reshape(-1, 3, _SIDE, piece_px, _SIDE, piece_px)
    return apart.permute(0, 2, 4, 1, 3, 5).reshape(len(pixels), PIECES, 3 * piece_px**2)


def join(pieces: Tensor) -> Tensor:
    """Return pixels of cells (M, 3·cell²) from their pieces."""
    piece_px = _piece_px(pieces.shape[1] * pieces.shape[2])
    apart = pieces.reshape(-1, _SIDE, _SIDE, 3, piece_px, piece_px)
    return apart.permute(0, 3, 1, 4, 2, 5).reshape(len(pieces), pieces.shape[1] * pieces.shape[2])


def _piece_px(size: int) -> int:
    return math.isqrt(size // 3) // _SIDE
