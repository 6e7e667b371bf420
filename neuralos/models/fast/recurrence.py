"""Recurrences: an LSTM, and one whose gates see no state, so that all frames go in parallel."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralos.models.fast.config import TrackerConfig


class Recurrence(nn.Module, ABC):
    """Carries numbers over frames; ``size`` is how many a lane carries."""

    size: int

    @abstractmethod
    def forward(self, inputs_BTE: Tensor, carry_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs (B, T, hidden) and the new carry (B, S)."""


class LstmRecurrence(Recurrence):
    """An LSTM of several layers."""

    def __init__(self, inputs: int, config: TrackerConfig) -> None:
        super().__init__()
        self._layers, self._hidden = config.layers, config.hidden
        self.size = 2 * config.layers * config.hidden
        self.lstm = nn.LSTM(inputs, config.hidden, config.layers, batch_first=True)

    def forward(self, inputs_BTE: Tensor, carry_BS: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Recurrence``."""
        carry = carry_BS.view(len(carry_BS), 2, self._layers, self._hidden).permute(1, 2, 0, 3)
        hidden, cell = carry.contiguous()
        outputs, state = self.lstm(inputs_BTE, (hidden, cell))
        return outputs, torch.stack(state).permute(2, 0, 1, 3).flatten(1)


class MinGruRecurrence(Recurrence):
    """Minimal GRUs (arXiv 2410.01201), each adding to what the one below says."""

    def __init__(self, inputs: int, config: TrackerConfig) -> None:
        super().__init__()
        self._hidden = config.hidden
        self.size = config.layers * config.hidden
        sizes = [inputs, *[config.hidden] * (config.layers - 1)]
        self.drives = nn.ModuleList(nn.Linear(size, 2 * config.hidden) for size in sizes)

    def forward(self, inputs_BTE: Tensor, carry_BS: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Recurrence``."""
        outputs, carries = inputs_BTE, []
        for drive, carry in zip(self.drives, torch.split(carry_BS, self._hidden, 1), strict=True):
            gate, new = drive(outputs).chunk(2, 2)
            states = scan(torch.sigmoid(-gate), torch.sigmoid(gate) * _positive(new), carry)
            carries.append(states[:, -1])
            outputs = states if outputs.shape != states.shape else outputs + states
        return outputs, torch.cat(carries, 1)


def make_recurrence(inputs: int, config: TrackerConfig) -> Recurrence:
    """Return the recurrence that a configuration names."""
    kind = LstmRecurrence if config.recurrence == "lstm" else MinGruRecurrence
    return kind(inputs, config)


def scan(keep_BTS: Tensor, add_BTS: Tensor, first_BS: Tensor) -> Tensor:
    """Return the states ``s[t] = keep[t]·s[t-1] + add[t]`` of all frames (B, T, S).

    Spans of frames are joined two by two, so it takes log2 T steps instead of T.
    """
    add = torch.cat((add_BTS[:, :1] + keep_BTS[:, :1] * first_BS[:, None], add_BTS[:, 1:]), 1)
    keep, frames, span = keep_BTS, keep_BTS.shape[1], 1
    while span < frames:
        add = torch.cat((add[:, :span], add[:, span:] + keep[:, span:] * add[:, :-span]), 1)
        keep = torch.cat((keep[:, :span], keep[:, span:] * keep[:, :-span]), 1)
        span *= 2
    return add


def _positive(numbers: Tensor) -> Tensor:
    """Return the paper's g, positive and continuous: x + 0.5 above 0, its sigmoid below."""
    return torch.where(numbers >= 0, F.relu(numbers) + 0.5, torch.sigmoid(numbers))
