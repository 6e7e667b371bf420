"""One step from several passes: the gradients of a mean over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from neuralos.models.state import SimulatorState
from neuralos.ranks import Ranks
from neuralos.training.optim import Optimizer


def split(rows: int, parts: int) -> Iterator[slice]:
    """Yield up to ``parts`` ranges of ``rows`` rows, as even as they go."""
    size = -(-rows // parts)
    for first in range(0, rows, size):
        yield slice(first, min(rows, first + size))


def joined(states: Sequence[SimulatorState]) -> SimulatorState:
    """Return the states of consecutive ranges of lanes as one."""
    if len(states) == 1:
        return states[0]
    columns = zip(*(state.tensors() for state in states), strict=True)
    return type(states[0])(*(torch.cat(column) for column in columns))


class Sum:
    """Adds up losses and their gradients; afterwards both are those of the mean.

    Each loss weighs by its count, so the mean is that over the whole batch, with what other
    ranks have added up.
    """

    def __init__(self, optimizer: Optimizer, passes: int, ranks: Ranks) -> None:
        self._optimizer = optimizer
        self._ranks = ranks
        self._is_one = passes * ranks.size == 1
        self._count = 0.0
        self._losses: list[tuple[float, Tensor, Mapping[str, Tensor]]] = []
        optimizer.clear()

    def add(self, total: Tensor, parts: Mapping[str, Tensor], count: float) -> None:
        """Add a loss, the mean over ``count``, and its gradients."""
        self._optimizer.add(total if self._is_one else total * count)
        detached = {name: part.detach() for name, part in parts.items()}
        self._losses.append((count, total.detach(), detached))
        self._count += count

    def end(self) -> None:
        """Turn the gradients of the sum into those of the mean; on all ranks at once."""
        if self._ranks.size > 1:
            self._take_others()
        if not self._is_one:
            self._optimizer.divide(self._count)

    def mean(self) -> float:
        """Return the loss."""
        return self._mean([(count, total) for count, total, _ in self._losses])

    def parts(self) -> dict[str, float]:
        """Return the parts of the loss."""
        names = self._losses[0][2]
        return {
            name: self._mean([(count, parts[name]) for count, _, parts in self._losses])
            for name in names
        }

    def _take_others(self) -> None:
        self._optimizer.sum_gradients(self._ranks)
        names = list(self._losses[0][2])
        # In double precision, as the counted means of one rank are.
        sums = torch.zeros(2 + len(names), dtype=torch.float64)
        for count, total, parts in self._losses:
            values = [total, *(parts[name] for name in names)]
            sums += count * torch.tensor([1.0, *(value.item() for value in values)]).double()
        self._ranks.sum([sums])
        self._count = float(sums[0])
        total, *means = (sums[1:] / sums[0]).unbind()
        self._losses = [(self._count, total, dict(zip(names, means, strict=True)))]

    def _mean(self, counted: Sequence[tuple[float, Tensor]]) -> float:
        if self._is_one:
            return float(counted[0][1].item())
        return sum(count * value.item() for count, value in counted) / self._count
