"""Random generators keyed by what they are for: no draw depends on how many came before."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def numpy_generator(seed: int, *key: str | int) -> np.random.Generator:
    """Return the counter-based generator of a key."""
    words = np.frombuffer(_hash(seed, key), dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=words))


def torch_generator(
    seed: int, *key: str | int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return the torch generator of a key; each kind of device draws other numbers."""
    word = int.from_bytes(_hash(seed, key)[:8], "little", signed=True)
    return torch.Generator(device).manual_seed(word)


def _hash(seed: int, key: tuple[str | int, ...]) -> bytes:
    text = "/".join(str(part) for part in (seed, *key))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
