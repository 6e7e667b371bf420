"""How the recurrent network looks at the previous frame: one query over all its cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuralos.models.paper.config import PaperConfig
from neuralos.models.paper.lstm import through

_SMALL = 0.02


class FrameAttention(nn.Module):
    """Multi-head attention from one query to the tokens of a frame (arXiv 2507.08800, sec. 3).

    Tokens are cells of the latent, projected, plus a learned place. With a single query it
    is much cheaper to carry the query through the key projection to the cells than all cells
    to the keys (0.1 instead of 13 GFLOP at full size), and likewise to add up cells before
    the value projection; the result is the same.
    """

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        width, hidden = config.temporal.token, config.temporal.hidden
        self.heads = config.temporal.heads
        self.look = nn.Linear(config.channels, width)
        self.place = nn.Parameter(torch.randn(config.cells, width) * _SMALL)
        self.ask = nn.Linear(hidden, width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def tokens(self, latent_BCHW: Tensor) -> Tensor:
        """Return what the keys and values are made of, (B, H·W, token)."""
        return through(self.look, latent_BCHW.flatten(2).transpose(1, 2)) + self.place

    def forward(self, asked: Tensor, latent_BCHW: Tensor) -> Tensor:
        """Return what was seen (B, token).

        Args:
            asked: the query before its projection, (B, token).
            latent_BCHW: the frame.
        """
        batch, width = asked.shape
        cells = latent_BCHW.flatten(2).to(self.place.dtype)
        query = through(self.query, asked).view(batch, self.heads, -1)
        query = query / (width // self.heads) ** 0.5
        key = self.key.weight.view(self.heads, -1, width)
        # From here on heads are rows: (B, heads, token).
        sought = torch.einsum("bhd,hde->bhe", query, key).to(self.place.dtype)
        look, bias = self.look.weight.to(sought.dtype), self.look.bias.to(sought.dtype)
        level = (query * self.key.bias.view(self.heads, -1)).sum(2) + sought @ bias
        score = sought @ self.place.T + (sought @ look) @ cells
        share = (score + level.unsqueeze(2)).softmax(2).to(cells.dtype)
        seen = through(self.look, share @ cells.transpose(1, 2)) + share @ self.place
        value = self.value.weight.view(self.heads, -1, width)
        values = torch.einsum("bhe,hde->bhd", seen.to(value.dtype), value).flatten(1)
        return through(self.out, values + self.value.bias)
