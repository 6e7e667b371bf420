"""The batches of a step follow from its number: a redone or branched step reads the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Protocol

from interactive.integrations.generators import keyed_generators


class Loader(Protocol):
    """A ``torch.utils.data.DataLoader``, or one that ``accelerator.prepare`` returned."""

    def __iter__(self) -> Iterator[Any]:
        """Begin a pass over the data."""
        ...

    def __len__(self) -> int:
        """Return the number of batches of a pass."""
        ...


class StepBatches:
    """Hands out the batches of the step that is asked for, wherever that is.

    In a straight run it reads the loader through, pass after pass. After a branch, or when
    a crashed run is taken up, it goes to the place of the step: the batches before it in
    the same pass are read once more and dropped. The order of a pass, and what a data set
    or its collating draws in this process, come from generators keyed by seed and place.

    Args:
        loader: the loader; its length must not change.
        per_step: the batches of one step (gradient accumulation); a step does not reach
            over the end of a pass, where the last one may get fewer.
        seed: keys the order.
    """

    def __init__(self, loader: Loader, *, per_step: int = 1, seed: int = 0) -> None:
        if per_step < 1 or len(loader) < 1:
            raise ValueError(
                "a step needs a batch: per_step and the loader's length are at least 1"
            )
        self._loader = loader
        self._per_step = per_step
        self._seed = seed
        self._steps_per_pass = -(-len(loader) // per_step)
        self._batches: Iterator[Any] = iter(())
        self._place: tuple[int, int] | None = None

    def at(self, step: int) -> Iterator[Any]:
        """Yield the batches of a step, the first of which is 1."""
        number, step_of_pass = divmod(step - 1, self._steps_per_pass)
        first = step_of_pass * self._per_step
        if self._place != (number, first) or first == 0:
            self._go_to(number, first)
        for batch in range(first, min(first + self._per_step, len(self._loader))):
            read = self._next(number, batch)
            self._place = (number, batch + 1)
            yield read

    def _go_to(self, number: int, first: int) -> None:
        is_cut_short = self._place is not None and self._place[1] < len(self._loader)
        if is_cut_short and (end := getattr(self._loader, "end", None)):
            end()  # Accelerate counts the passes that are under way.
        if set_epoch := getattr(self._loader, "set_epoch", None):
            set_epoch(number)
        for sampler in _samplers(self._loader):
            if hasattr(sampler, "initial_seed"):  # Accelerate's, which adds the pass to it.
                sampler.initial_seed = place_word(self._seed, "order")
            if getattr(sampler, "generator", None) is not None:
                sampler.generator.manual_seed(place_word(self._seed, "order", number))
        with keyed_generators(self._seed, "pass", number):
            self._batches = iter(self._loader)
        for dropped in range(first):
            self._next(number, dropped)

    def _next(self, number: int, batch: int) -> Any:
        with keyed_generators(self._seed, "batch", number, batch):
            return next(self._batches)


def _samplers(loader: Any) -> Iterator[Any]:
    """Yield what may hold a generator that the order of a pass comes from."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    inner = getattr(batch_sampler, "batch_sampler", None)
    yield from (loader, getattr(loader, "sampler", None))
    yield from (getattr(batch_sampler, "sampler", None), getattr(inner, "sampler", None))


def place_word(seed: int, *place: int | str) -> int:
    """Return the seed, of 32 bits, of what is drawn at a place."""
    text = "/".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")
