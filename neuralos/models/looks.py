"""The looks that cells take most often, kept exactly, and the network that tells which it is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralos.models.config import CollageConfig
from neuralos.models.looking import may_look
from neuralos.shapes import Screen

_GAIN = 16.0
"""A look's own numbers move this much faster than other parameters: each is seen rarely."""

_LEAST = 2
"""A look that came up less often is none."""

_COARSE = 24
"""Components by which the nearest look is sought."""

_SAME = 3 / 255
"""Pixels closer than this are the same, but for rounding."""


class Looks(nn.Module):
    """A list of looks (K, 3·cell²) in pixels; each has a key that a cell's query is held against.

    A classifier stays crisp where a regression would give the mean of two texts.
    """

    looks: Tensor
    count: Tensor

    def __init__(self, config: CollageConfig, context: int, screen: Screen) -> None:
        super().__init__()
        self._cell_px = screen.cell_px
        size, width = 3 * screen.cell_px**2, config.look_width
        self.register_buffer("looks", torch.zeros(config.looks, size, dtype=torch.uint8))
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64))
        self.entry = nn.Linear(context, config.look_hidden)
        self.query = nn.Linear(config.look_hidden, width)
        self.shape = nn.Linear(size, width, bias=False)
        self.own = nn.Parameter(torch.randn(config.looks, width) * (0.3 / _GAIN))
        self.often = nn.Parameter(torch.zeros(config.looks))

    def keep(self, looks: npt.NDArray[np.uint8]) -> None:
        """Take these looks (k, 3·cell²), at most as many as there is room for."""
        chosen = torch.from_numpy(looks[: len(self.looks)].copy())
        self.looks.zero_()
        self.looks[: len(chosen)] = chosen
        self.count.fill_(len(chosen))

    def pixels(self) -> Tensor:
        """Return the pixels of the looks in [-0.5, 0.5], (k, 3·cell²)."""
        return self.looks[: int(self.count)].float() / 255 - 0.5

    def match(self, pixels: Tensor, basis: Tensor) -> Tensor:
        """Return which look each cell (M, 3·cell²) has, (M,); -1 is none.

        Args:
            pixels: of the cells.
            basis: directions, coarsest first, by which the nearest is sought.
        """
        known = self.pixels()
        if not len(known):
            return torch.full((len(pixels),), -1, device=pixels.device)
        coarse = basis[:_COARSE].T
        wanted, offered = pixels @ coarse, known @ coarse
        nearest = (offered.square().sum(1) - 2 * wanted @ offered.T).argmin(1)
        is_same = (known[nearest] - pixels).abs().amax(1) < _SAME
        return torch.where(is_same, nearest, -1)

    def logits(self, context_MX: Tensor) -> Tensor:
        """Return how likely each look is for cells, (M, k)."""
        query = self.query(F.silu(self.entry(context_MX)))
        if may_look(self.count):
            known = int(self.count)
            own, often = self.own[:known] * _GAIN, self.often[:known] * _GAIN
            logits: Tensor = query @ (self.shape(self.pixels()) + own).T + often
            return logits
        key = self.shape(self.looks.float() / 255 - 0.5) + self.own * _GAIN
        places = torch.arange(len(self.looks), device=query.device)
        logits = query @ key.T + self.often * _GAIN
        return logits.masked_fill(places >= self.count, -torch.inf)

    def choose(self, context_MX: Tensor) -> Tensor:
        """Return the pixels (M, 3·cell²) of the most likely look of each cell."""
        chosen = self.looks[self.logits(context_MX).argmax(1)]
        return chosen.float() / 255 - 0.5


class CellCounts:
    """Counts, over clips, how cells look and what they change to."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._seen: list[Counter[bytes]] = [
            Counter() for _ in range(screen.grid_height * screen.grid_width)
        ]
        self._changed_to: Counter[bytes] = Counter()

    def add(self, frames: npt.NDArray[np.uint8]) -> None:
        """Count the cells of a clip of frames (N, Y, P, 3)."""
        cells = self._cells(frames)
        changed = cells[1:][(cells[1:] != cells[:-1]).any(-1)]
        self._changed_to.update(cell.tobytes() for cell in changed)
        for counter, cell in zip(self._seen, cells[0], strict=True):
            counter[cell.tobytes()] += 1

    def looks(self) -> npt.NDArray[np.uint8]:
        """Return the looks (k, 3·cell²) that cells changed to, the most frequent first."""
        often = [(-count, look) for look, count in self._changed_to.items() if count >= _LEAST]
        chosen = b"".join(look for _, look in sorted(often))
        return np.frombuffer(chosen, dtype=np.uint8).reshape(-1, 3 * self._screen.cell_px**2)

    def scenery(self) -> npt.NDArray[np.uint8]:
        """Return the frame (Y, P, 3) of every cell's most common look."""
        screen = self._screen
        cell_px, height, width = screen.cell_px, screen.grid_height, screen.grid_width
        common = [min(c, key=lambda cell: (-c[cell], cell)) for c in self._seen]
        cells = np.frombuffer(b"".join(common), dtype=np.uint8)
        apart = cells.reshape(height, width, 3, cell_px, cell_px).transpose(0, 3, 1, 4, 2)
        return apart.reshape(screen.height_px, screen.width_px, 3)

    def _cells(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return frames as cells (N, H·W, 3·cell²), numbers in the order of a patch code."""
        screen, cell_px = self._screen, self._screen.cell_px
        grid = (screen.grid_height, cell_px, screen.grid_width, cell_px, 3)
        apart = frames.reshape(len(frames), *grid).transpose(0, 1, 3, 5, 2, 4)
        return apart.reshape(len(frames), screen.grid_height * screen.grid_width, -1)
