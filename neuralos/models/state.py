"""What the simulator carries from frame to frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class SimulatorState:
    """The carried state of B lanes.

    ``hidden``, ``cell`` (B, R): the LSTM that tracks the computer. ``spatial``
    (B, S, H, W): the convolutional GRU. ``memory`` (B, C, H, W): the last look of every
    cell while the cursor did not cover it.
    """

    hidden: Tensor
    cell: Tensor
    spatial: Tensor
    memory: Tensor

    def detach(self) -> SimulatorState:
        """Return the state cut off from the graph that computed it."""
        return SimulatorState(*(tensor.detach() for tensor in self._tensors()))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors under their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> SimulatorState:
        """Rebuild a state from ``state_dict``'s tensors."""
        return cls(**{field.name: tensors[field.name] for field in fields(cls)})

    @classmethod
    def choose(cls, which_B: Tensor, yes: SimulatorState, no: SimulatorState) -> SimulatorState:
        """Return, lane by lane, ``yes`` where ``which_B`` holds, else ``no``."""
        pairs = zip(yes._tensors(), no._tensors(), strict=True)
        return cls(*(torch.where(which_B.view(-1, *[1] * (a.dim() - 1)), a, b) for a, b in pairs))

    def without(self, which_B: Tensor) -> SimulatorState:
        """Return the state with that of some lanes wiped out."""
        return self.choose(which_B, SimulatorState(*map(torch.zeros_like, self._tensors())), self)

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.hidden, self.cell, self.spatial, self.memory
