"""Tensors and JSON in a folder, checked by name and shape when they are read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a safetensors file."""
    save_file(
        {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, path
    )


def read_tensors(path: Path, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Read a safetensors file.

    Args:
        path: the file.
        like: tensors whose names, shapes and types the file's must have.

    Raises:
        ValueError: the file is damaged, or does not fit; the message names the tensor.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path.name}: {error}") from None
    if like is not None:
        check_like(path.name, tensors, like)
    return tensors


def write_json(path: Path, obj: Any) -> None:
    """Write a JSON object."""
    path.write_text(json.dumps(obj, sort_keys=True), encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON object.

    Raises:
        ValueError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name}: {error}") from None


def check_like(name: str, tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> None:
    """Refuse tensors whose names, shapes and types are not those of others.

    Raises:
        ValueError: the message names the file and the tensor.
    """
    for key, wanted in like.items():
        found = tensors.get(key)
        if found is None:
            raise ValueError(f"{name}: tensor {key!r} is missing")
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            raise ValueError(
                f"{name}: tensor {key!r} is {found.dtype} {tuple(found.shape)}, "
                f"not {wanted.dtype} {tuple(wanted.shape)}"
            )
    for key in tensors:
        if key not in like:
            raise ValueError(f"{name}: tensor {key!r} belongs to another simulator")
