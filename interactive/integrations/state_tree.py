"""States as others keep them, turned into JSON and tensors: no pickle is ever written or read."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

_TAG = "$"
"""Marks an object that stands for something JSON has no word for."""


def to_json(tree: Any, tensors: dict[str, Tensor] | None = None, path: str = "") -> Any:
    """Return a tree of plain values as JSON; its tensors go into ``tensors`` by their path.

    Args:
        tree: dicts, lists, tuples, counters, numbers, strings, None, tensors, arrays.
        tensors: takes the tensors; where it is None there may be none.
        path: where in the whole the tree stands.

    Raises:
        TypeError: there is something that can only be pickled; the message names it.
    """
    if tree is None or isinstance(tree, bool | str | int):
        return tree
    if isinstance(tree, float):
        return tree if math.isfinite(tree) else {_TAG: "float", "of": repr(tree)}
    if isinstance(tree, Tensor | np.ndarray) and tensors is not None:
        whole = tree.detach() if isinstance(tree, Tensor) else torch.from_numpy(tree)
        tensors[path] = whole.cpu().clone().contiguous()
        return {_TAG: "tensor" if isinstance(tree, Tensor) else "array", "of": path}
    if isinstance(tree, list | tuple):
        items = [to_json(item, tensors, f"{path}.{index}") for index, item in enumerate(tree)]
        return items if isinstance(tree, list) else {_TAG: "tuple", "of": items}
    if isinstance(tree, Mapping):
        pairs = {key: to_json(value, tensors, f"{path}.{key}") for key, value in tree.items()}
        if isinstance(tree, Counter):
            return {_TAG: "counter", "of": [list(pair) for pair in pairs.items()]}
        if all(isinstance(key, str) and key != _TAG for key in pairs):
            return pairs
        if all(isinstance(key, str | int) for key in pairs):
            return {_TAG: "dict", "of": [list(pair) for pair in pairs.items()]}
    raise TypeError(f"{path.lstrip('.') or 'the state'} is a {type(tree).__name__}: not JSON")


def from_json(obj: Any, tensors: Mapping[str, Tensor] | None = None) -> Any:
    """Return the tree of which ``to_json`` made this.

    Raises:
        ValueError: a tensor is missing, or the object is none of ``to_json``'s.
    """
    if isinstance(obj, list):
        return [from_json(item, tensors) for item in obj]
    if not isinstance(obj, dict):
        return obj
    of = obj.get("of")
    match obj.get(_TAG):
        case None:
            return {key: from_json(value, tensors) for key, value in obj.items()}
        case "float":
            return float(str(of))
        case "tuple":
            return tuple(from_json(of, tensors))
        case "counter":
            return Counter(dict(_pairs(of)))
        case "dict":
            return {key: from_json(value, tensors) for key, value in _pairs(of)}
        case "tensor" | "array" as kind:
            if str(of) not in (tensors or {}):
                raise ValueError(f"tensor {of!r} is missing")
            tensor = (tensors or {})[str(of)]
            return tensor if kind == "tensor" else tensor.numpy()
        case tag:
            raise ValueError(f"no value of kind {tag!r}")


def write_tree(folder: Path, name: str, tree: Any) -> None:
    """Write a tree as ``name.json`` and ``name.safetensors``.

    Raises:
        TypeError: there is something in it that can only be pickled.
    """
    tensors: dict[str, Tensor] = {}
    obj = to_json(tree, tensors)
    (folder / f"{name}.json").write_text(json.dumps(obj, allow_nan=False), encoding="utf-8")
    save_file(tensors, folder / f"{name}.safetensors")


def read_tree(folder: Path, name: str) -> Any:
    """Return what ``write_tree`` wrote.

    Raises:
        ValueError: a file is missing or damaged; the message names it.
    """
    try:
        tensors = load_file(folder / f"{name}.safetensors")
        obj = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return from_json(obj, tensors)
    except (OSError, SafetensorError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


def check_tensor(name: str, found: Any, wanted: Tensor) -> None:
    """Refuse a tensor that does not fit.

    Raises:
        ValueError: it is missing, or of another type or shape; the message names it.
    """
    if not isinstance(found, Tensor):
        raise ValueError(f"tensor {name!r} is missing")
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        raise ValueError(
            f"tensor {name!r} is {found.dtype} {tuple(found.shape)}, "
            f"not {wanted.dtype} {tuple(wanted.shape)}"
        )


def _pairs(obj: Any) -> list[tuple[Any, Any]]:
    return [(key, value) for key, value in obj]
