"""Weights in little room: half precision, and large matrices in eight bits a number."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_LARGE = 2**20
"""Matrices of so many numbers are kept in eight bits, each row with a scale of its own."""
_SCALE = ".row_scale"
_LEVELS = 127


def packed(tensors: Mapping[str, Tensor], whole: str) -> dict[str, Tensor]:
    """Return tensors in little room.

    Args:
        tensors: by name; what is not of single precision stays as it is.
        whole: so do those whose names begin like this.

    Raises:
        ValueError: a number is too large for half precision; the message names the tensor.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dtype is not torch.float32 or name.startswith(whole):
            found[name] = tensor
        elif tensor.dim() == 2 and tensor.numel() >= _LARGE:
            scale = tensor.abs().amax(1, keepdim=True).clamp_min(1e-30) / _LEVELS
            found[name] = (tensor / scale).round().to(torch.int8)
            found[name + _SCALE] = scale
        else:
            found[name] = tensor.half()
            if not torch.isfinite(found[name]).all():
                raise ValueError(f"tensor {name!r} does not fit into half precision")
    return found


def unpacked(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what ``packed`` was given, in single precision again where ``like`` is."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        wanted = like.get(name)
        is_single = wanted is not None and wanted.dtype is torch.float32
        if is_single and tensor.dtype is torch.float16:
            found[name] = tensor.float()
        elif is_single and tensor.dtype is torch.int8 and name + _SCALE in tensors:
            found[name] = tensor.float() * tensors[name + _SCALE]
        elif wanted is not None or not name.endswith(_SCALE):
            found[name] = tensor
    return found
