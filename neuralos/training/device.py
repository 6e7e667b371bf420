"""Where a training computes, and how precisely."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from neuralos.data.batch import Batch

_DTYPES = {"bfloat16": torch.bfloat16}


def choose_device(name: str) -> torch.device:
    """Return the device of a name; ``auto`` is the GPU where there is one.

    Raises:
        ValueError: a GPU is asked for and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda': there is no GPU here; 'auto' takes one where there is")
    return torch.device(name)


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; to a GPU it goes through pinned memory, without waiting."""
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def move_batch(batch: Batch, device: torch.device) -> Batch:
    """Return a batch on a device."""
    return batch.map(lambda tensor: move(tensor, device))


def computing_in(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a loss is computed: autocast, unless in float32."""
    if precision not in _DTYPES:
        return nullcontext()
    return torch.autocast(device.type, dtype=_DTYPES[precision])
