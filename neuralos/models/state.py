"""What a simulator carries from frame to frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class SimulatorState:
    """The carried state of B sessions or lanes: tensors whose rows are independent.

    ``latent`` (B, C, H, W) is that of the last frame, ``action`` (B, A) what led to it.
    """

    latent: Tensor
    action: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the tensors in the order of their fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Return the state with a function applied to every tensor."""
        return type(self)(*map(function, self.tensors()))

    def detach(self) -> Self:
        """Return the state cut off from the graph that computed it."""
        return self.map(Tensor.detach)

    def map_latents(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Return the state with its latents replaced, as another autoencoder needs them."""
        return replace(self, latent=function(self.latent))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors under their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def like(self, tensors: Mapping[str, Tensor]) -> Self:
        """Rebuild a state of this kind from ``state_dict``'s tensors."""
        return type(self)(**{field.name: tensors[field.name] for field in fields(self)})

    def where(self, which_B: Tensor, other: Self) -> Self:
        """Return, row by row, this state where ``which_B`` holds, else the other."""
        pairs = zip(self.tensors(), other.tensors(), strict=True)
        return type(self)(
            *(torch.where(which_B.view(-1, *[1] * (a.dim() - 1)), a, b) for a, b in pairs)
        )

    def without(self, which_B: Tensor) -> Self:
        """Return the state with some rows wiped out."""
        return self.map(torch.zeros_like).where(which_B, self)
