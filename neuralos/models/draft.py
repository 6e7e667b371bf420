"""The recurrent network's own guess of the next latent, which the denoiser corrects."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuralos.models.cursor import CursorTable, pick, place
from neuralos.shapes import Screen

_SHAPES = 2
"""Cursors that the table can tell apart, such as the arrow and the busy one."""

_BENEATH = 1
"""A look depends linearly on this many of the coarsest components beneath it: brightness."""

_GAIN = 4.0
"""Latents reach several units: the layer that starts at zero gets there in larger steps."""


_MEMORY_FIRST = 3.0


class Draft(nn.Module):
    """Draws what the context says onto a picture, and the cursor on top.

    Of several pictures it takes, cell by cell, a mixture; it begins with the second, the memory.
    """

    def __init__(
        self, channels: int, context: int, tracked: int, screen: Screen, pictures: int = 1
    ) -> None:
        super().__init__()
        self.channels = channels
        self.base = nn.Conv2d(context, pictures, 1) if pictures > 1 else None
        self.scene = nn.Conv2d(context, channels, 1)
        self.table = CursorTable(_SHAPES * (1 + _BENEATH) * channels, screen)
        self.shape = nn.Linear(tracked, _SHAPES)
        for parameter in self.scene.parameters():
            nn.init.zeros_(parameter)
        nn.init.zeros_(self.table.looks)
        if self.base is not None:
            weight, bias = self.base.parameters()
            nn.init.zeros_(weight)
            with torch.no_grad():
                bias.copy_(_MEMORY_FIRST * (torch.arange(pictures) == 1))

    def forward(
        self,
        pictures: tuple[Tensor, ...],
        context_NXHW: Tensor,
        tracked_NR: Tensor,
        position_N2: Tensor,
    ) -> Tensor:
        """Return the draft (N, C, H, W).

        Args:
            pictures: what to draw on, (N, C, H, W) each: with one, the last look of every
                cell without the cursor.
            context_NXHW: the context.
            tracked_NR: the LSTM's output, which knows the cursor's shape.
            position_N2: where the cursor is, in simulated pixels.
        """
        under = pictures[0]
        if self.base is not None:
            share = self.base(context_NXHW).softmax(1).unsqueeze(2)
            under = torch.stack([share[:, k] * one for k, one in enumerate(pictures)]).sum(0)
        scene = under + _GAIN * self.scene(context_NXHW)
        blocks, cells = self.table.blocks(position_N2)
        looks = blocks.view(*blocks.shape[:2], _SHAPES, (1 + _BENEATH) * self.channels)
        shape = self.shape(tracked_NR).softmax(1)
        looks = (looks * shape.view(-1, 1, _SHAPES, 1)).sum(2)
        plain, tinted = looks.split((self.channels, _BENEATH * self.channels), 2)
        beneath = torch.tanh(pick(scene[:, :_BENEATH], cells, self.table.screen) / 4).unsqueeze(3)
        tinted = (tinted.view(*tinted.shape[:2], _BENEATH, self.channels) * beneath).sum(2)
        drawn: Tensor = scene + place(plain + tinted, cells, self.table.screen)
        return drawn
