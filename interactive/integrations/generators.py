"""The global generators of a script: kept, put back, and keyed for a while.

This package draws from none of them; scripts and libraries do.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from numpy import random as numpy_random


def generator_states() -> dict[str, Any]:
    """Return where the generators of Python, numpy and torch stand."""
    states = {
        "python": random.getstate(),
        "numpy": numpy_random.get_state(),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states["cuda"] = list(torch.cuda.get_rng_state_all())
    return states


def set_generator_states(states: Mapping[str, Any]) -> None:
    """Put the generators where they stood."""
    random.setstate(states["python"])
    numpy_random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let what happens in the block draw as it likes: afterwards it has not."""
    states = generator_states()
    try:
        yield
    finally:
        set_generator_states(states)


@contextmanager
def keyed_generators(seed: int, *key: str | int) -> Iterator[None]:
    """Let draws in the block follow from a key alone, and disturb none that come after it."""
    text = "/".join(str(part) for part in (seed, *key))
    word = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
    with undisturbed():
        seeds = random.Random(word)
        random.setstate(seeds.getstate())
        numpy_random.set_state(numpy_random.RandomState(word % 2**32).get_state())
        torch.default_generator.manual_seed(word)
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.manual_seed_all(word)
        yield
