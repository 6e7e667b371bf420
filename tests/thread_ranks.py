"""Ranks that are threads of one process: the same calls as between processes, at a test's speed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

Made = TypeVar("Made")
PATIENCE_S = 60.0


class _Meeting:
    """Where the threads lay down what they have, and see what the others have."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._barrier = threading.Barrier(size)
        self._brought: list[Any] = [None] * size

    def break_up(self) -> None:
        self._barrier.abort()

    def bring(self, rank: int, what: Any) -> list[Any]:
        self._brought[rank] = what
        self._barrier.wait(PATIENCE_S)
        all_of_it = list(self._brought)
        self._barrier.wait(PATIENCE_S)
        return all_of_it


class ThreadRanks:
    """Implements ``neuralos.ranks.Ranks``."""

    def __init__(self, rank: int, meeting: _Meeting) -> None:
        self.rank = rank
        self.size = meeting.size
        self._meeting = meeting

    def sum(self, tensors: Sequence[Tensor]) -> None:
        brought = self._meeting.bring(self.rank, [tensor.detach().clone() for tensor in tensors])
        for tensor, parts in zip(tensors, zip(*brought, strict=True), strict=True):
            tensor.detach().copy_(sum(parts[1:], parts[0]))

    def gather(self, tensor: Tensor) -> Tensor:
        return torch.cat(self._meeting.bring(self.rank, tensor.detach().clone()))

    def copy(self, tensors: Iterable[Tensor]) -> None:
        own = list(tensors)
        first = self._meeting.bring(self.rank, [tensor.detach().clone() for tensor in own])[0]
        for tensor, whole in zip(own, first, strict=True):
            tensor.detach().copy_(whole)

    def exchange(self, text: str) -> list[str]:
        return self._meeting.bring(self.rank, text)


def on_ranks(size: int, act: Callable[[ThreadRanks], Made]) -> list[Made]:
    """Do something on each of several ranks at once; return what came of it, by rank."""
    meeting = _Meeting(size)

    def act_on(rank: int) -> Made:
        try:
            return act(ThreadRanks(rank, meeting))
        except BaseException:
            meeting.break_up()
            raise

    with ThreadPoolExecutor(size) as pool:
        made = [pool.submit(act_on, rank) for rank in range(size)]
    # What broke the meeting up says more than that it was broken.
    errors = [one.exception() for one in made]
    for error in errors:
        if error is not None and not isinstance(error, threading.BrokenBarrierError):
            raise error
    return [one.result() for one in made]
