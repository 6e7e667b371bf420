"""The ranks of a run: trainer processes that each have some lanes of one batch.

Every rank holds the whole model and knows where every lane stands; it reads, encodes and
trains on its own lanes. What couples lanes (the counts that a loss is divided by, the frames
that are drawn among all, the noise) is the same as on one rank: counts are summed over ranks,
and random numbers are drawn for the whole batch on every rank, which keeps those of its rows.
So a run is the same on any number of ranks, but for the order in which floats are added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from neuralos.data.config import check_lanes

_BUCKET_BYTES = 32 << 20
"""Gradients travel in pieces of about this size, each on its way while the next is packed."""

SILENCE_S = 1800.0
"""A rank that takes no part in an exchange of tensors for so long is taken for dead."""


class Ranks(Protocol):
    """What a trainer asks of the other trainers of its run; all make the same calls in order."""

    @property
    def rank(self) -> int:
        """Return the number of this one, from 0."""
        ...

    @property
    def size(self) -> int:
        """Return how many there are."""
        ...

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors, all of one type, by their sums over the ranks."""
        ...

    def gather(self, tensor: Tensor) -> Tensor:
        """Return the rows of all ranks, in the order of ranks; each has as many."""
        ...

    def copy(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of rank 0."""
        ...

    def exchange(self, text: str) -> list[str]:
        """Return what each rank has to say; where none has anything this costs next to nothing."""
        ...


class OneRank:
    """A trainer that is alone."""

    rank = 0
    size = 1

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Leave tensors as they are."""

    def gather(self, tensor: Tensor) -> Tensor:
        """Return the rows themselves."""
        return tensor

    def copy(self, tensors: Iterable[Tensor]) -> None:
        """Leave tensors as they are."""

    def exchange(self, text: str) -> list[str]:
        """Return what was said."""
        return [text]


class ProcessRanks:
    """The processes of ``torch.distributed``: tensors go by its default group.

    Texts go by gloo. Whatever the backend, the sum of a tensor has the same bits on every
    rank: each of its parts is added up in one place.
    """

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self._texts: Any = None
        if "gloo" not in dist.get_backend():
            self._texts = dist.new_group(backend="gloo", timeout=timedelta(seconds=SILENCE_S))

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors, all of one type, by their sums over the ranks.

        They are added up in single precision at least.
        """
        sent = []
        for bucket in _buckets(tensors):
            is_wide = bucket[0].dtype in (torch.float64, torch.int64)
            wide = torch.float64 if is_wide else torch.float32
            flat = torch.cat([tensor.detach().reshape(-1).to(wide) for tensor in bucket])
            sent.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
        for bucket, flat, work in sent:
            work.wait()
            parts = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, part in zip(bucket, parts, strict=True):
                tensor.detach().copy_(part.view(tensor.shape))

    def gather(self, tensor: Tensor) -> Tensor:
        """Return the rows of all ranks, in the order of ranks; each has as many."""
        own = tensor.detach().contiguous()
        found = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(found, own)
        return torch.cat(found)

    def copy(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of rank 0."""
        for tensor in tensors:
            whole = tensor.detach().contiguous()
            dist.broadcast(whole, 0)
            tensor.detach().copy_(whole)

    def exchange(self, text: str) -> list[str]:
        """Return what each rank has to say; nobody's having anything costs one small sum."""
        longest = torch.tensor([len(text)])
        dist.all_reduce(longest, dist.ReduceOp.MAX, group=self._texts)
        if not longest.item():
            return [""] * self.size
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, text, group=self._texts)
        return [str(one) for one in found]


def ranks_here() -> Ranks:
    """Return the ranks that this process is one of."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        return ProcessRanks()
    return OneRank()


def sum_gradients(parameters: Iterable[Tensor], ranks: Ranks) -> None:
    """Give every rank the gradient of the whole batch's loss: the sum of all ranks' gradients.

    A parameter that no rank's loss depends on keeps none, so that the optimizer passes it
    over as it does on one rank.
    """
    if ranks.size == 1:
        return
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    if not wanted:
        return
    here = [parameter.grad is not None for parameter in wanted]
    has_one = torch.tensor(here, dtype=wanted[0].dtype, device=wanted[0].device)
    for parameter in wanted:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    ranks.sum([has_one, *(parameter.grad for parameter in wanted if parameter.grad is not None)])
    for parameter, count in zip(wanted, has_one.tolist(), strict=True):
        if not count:
            parameter.grad = None


class Whole:
    """The whole batch of which the rows here are a part: on one rank it is all here."""

    def draw(
        self, make: Callable[..., Tensor], shape: Sequence[int], generator: torch.Generator
    ) -> Tensor:
        """Return random numbers for the rows that are here.

        Args:
            make: such as ``torch.randn``.
            shape: of what is wanted; the first dimension counts the rows that are here.
            generator: in the same state on every rank.
        """
        return make(tuple(shape), generator=generator)

    def sum(self, number: Tensor) -> Tensor:
        """Return the sum of a number over all ranks, cut off from the graph."""
        return number.detach()

    def mean(
        self, total: Tensor, weight: Tensor, *, more: float = 0.0, least: float = 0.0
    ) -> Tensor:
        """Return this rank's part of a weighted mean: their mean over ranks is that of the whole.

        Args:
            total: the weighted sum over what is here.
            weight: the sum of the weights here.
            more: added to the weight of the whole, lest a mean of little count as one of much.
            least: the weight of the whole counts as at least this.
        """
        return total / (weight.detach() + more).clamp_min(least)

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows of the whole batch, cut off from the graph."""
        return rows.detach()

    def choose(self, chosen_M: Tensor, per_row: int) -> tuple[Tensor, Whole]:
        """Return what of a choice among all is here.

        Args:
            chosen_M: numbers of frames of the whole batch, ``per_row`` to each of its rows.
            per_row: frames of a row.

        Returns:
            Their numbers among the frames here, and the whole choice that they are a part of.
        """
        return chosen_M, self


ALONE = Whole()
"""That of one rank."""


@dataclass(frozen=True)
class SharedWhole(Whole):
    """A batch of ``total`` rows over several ranks, of which those of ``own`` are here."""

    total: int
    own: slice | Tensor
    ranks: Ranks

    def draw(
        self, make: Callable[..., Tensor], shape: Sequence[int], generator: torch.Generator
    ) -> Tensor:
        """Draw for the whole batch, and return what falls on the rows that are here."""
        return make((self.total, *shape[1:]), generator=generator)[self.own]

    def sum(self, number: Tensor) -> Tensor:
        """Return the sum of a number over all ranks, cut off from the graph."""
        total = number.detach().clone()
        self.ranks.sum([total])
        return total

    def mean(
        self, total: Tensor, weight: Tensor, *, more: float = 0.0, least: float = 0.0
    ) -> Tensor:
        """Return this rank's part of a weighted mean over the whole."""
        return total * self.ranks.size / (self.sum(weight) + more).clamp_min(least)

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows of the whole batch, cut off from the graph."""
        return self.ranks.gather(rows)

    def choose(self, chosen_M: Tensor, per_row: int) -> tuple[Tensor, Whole]:
        """Return what of a choice among all is here."""
        assert isinstance(self.own, slice)
        first, end = self.own.start * per_row, self.own.stop * per_row
        here = ((chosen_M >= first) & (chosen_M < end)).nonzero()[:, 0]
        return chosen_M[here] - first, SharedWhole(len(chosen_M), here, self.ranks)


class LaneShare:
    """Which lanes a rank has: as many of each micro-batch as every other rank.

    So each micro-batch is made of the same lanes, however many ranks there are.

    Args:
        lanes: of the whole batch.
        micro_batches: the parts in which one rank would go through them.
        ranks: this rank and the others.

    Raises:
        ConfigError: the ranks cannot share the lanes evenly.
    """

    def __init__(self, lanes: int, micro_batches: int, ranks: Ranks) -> None:
        self.total = lanes
        self.ranks = ranks
        self._micro_batches = micro_batches
        check_lanes(lanes, micro_batches, ranks.size)
        self.own = self._of_rank(ranks.rank, ranks.size)
        """The numbers of the lanes that are here, in ascending order."""

    def order(self, ranks: int) -> list[int]:
        """Return the numbers of all lanes, those of each of so many ranks after another's."""
        return [lane for rank in range(ranks) for lane in self._of_rank(rank, ranks)]

    def micro_batch(self) -> Whole:
        """Return the micro-batch of all ranks of which a part is here."""
        if self.ranks.size == 1:
            return ALONE
        total = self.total // self._micro_batches
        each = total // self.ranks.size
        own = slice(self.ranks.rank * each, (self.ranks.rank + 1) * each)
        return SharedWhole(total, own, self.ranks)

    def _of_rank(self, rank: int, ranks: int) -> list[int]:
        if ranks == 1:
            return list(range(self.total))
        micro_batch = self.total // self._micro_batches
        each = micro_batch // ranks
        firsts = range(rank * each, self.total, micro_batch)
        return [first + lane for first in firsts for lane in range(each)]


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        bucket.append(tensor)
        size += 4 * tensor.numel()
        if size >= _BUCKET_BYTES:
            yield bucket
            bucket, size = [], 0
    if bucket:
        yield bucket
