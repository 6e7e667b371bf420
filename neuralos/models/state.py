"""What the simulator carries from frame to frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def rows(self, index: Sequence[int] | slice) -> SimulatorState:
        """Return some lanes of the state."""
        key = index if isinstance(index, slice) else list(index)
        return SimulatorState(*(tensor[key] for tensor in self._tensors()))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors under their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> SimulatorState:
        """Rebuild a state from ``state_dict``'s tensors."""
        return cls(**{field.name: tensors[field.name] for field in fields(cls)})

    @classmethod
    def stack(cls, rows: Sequence[SimulatorState]) -> SimulatorState:
        """Put states together, lane after lane."""
        return cls(*(torch.cat(parts) for parts in zip(*(r._tensors() for r in rows), strict=True)))

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.hidden, self.cell, self.spatial, self.memory
