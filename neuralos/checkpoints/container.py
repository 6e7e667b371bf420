"""Files of tensors, whichever container they are in, without running anything in them."""

from __future__ import annotations

import json
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from neuralos.checkpoints.refusal import CheckpointRefused

_ZIP = b"PK"
_HARMLESS = ("torch._utils ", "torch ", "collections OrderedDict", "torch.serialization ")
"""What a pickle of plain tensors refers to."""


def read_container(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from a safetensors file or a zip made by ``torch.save``.

    The first bytes decide, not the name: published files call a zip ``model.safetensors``.

    Raises:
        CheckpointRefused: the file is missing, damaged or cut short, holds anything but
            tensors, or would run code when it is read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
            if start.startswith(_ZIP):
                file.seek(0)
                return _read_zip(path.name, file)
        _check_length(path, start)
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointRefused(f"{path.name}: {error}") from None


def check_finite(name: str, tensor: Tensor) -> None:
    """Refuse a tensor that is not made of finite floating-point numbers.

    Raises:
        CheckpointRefused: it is not; the message names it.
    """
    if not tensor.is_floating_point():
        raise CheckpointRefused(f"tensor {name!r} is {tensor.dtype}, not floating-point")
    if not bool(torch.isfinite(tensor).all()):
        raise CheckpointRefused(f"tensor {name!r} holds NaN or infinity")


def _read_zip(name: str, file: BinaryIO) -> dict[str, Tensor]:
    try:
        loaded: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        file.seek(0)
        raise CheckpointRefused(
            f"{name}: {_culprit(file)}", "Only tensors are read, never code."
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointRefused(f"{name}: damaged or cut short: {_line(error)}") from None
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping):
        raise CheckpointRefused(f"{name}: holds a {type(loaded).__name__}, not tensors by name")
    for key, tensor in loaded.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor):
            raise CheckpointRefused(
                f"{name}: tensor {key!r} is a {type(tensor).__name__} and no tensor"
            )
    return dict(loaded)


def _culprit(file: BinaryIO) -> str:
    """Say which entry of a pickle refers to code; nothing of it is run."""
    last, strings = "", [""]
    try:
        with zipfile.ZipFile(file) as archive:
            name = next(n for n in archive.namelist() if n.endswith("data.pkl"))
            for opcode, argument, _ in pickletools.genops(archive.read(name)):
                if opcode.name == "GLOBAL":
                    target = str(argument)
                elif opcode.name == "STACK_GLOBAL":
                    last = strings[-3] if len(strings) > 2 else ""
                    target = " ".join(strings[-2:])
                else:
                    if isinstance(argument, str) and "UNICODE" in opcode.name:
                        last = argument
                        strings.append(argument)
                    continue
                if not target.startswith(_HARMLESS):
                    return f"tensor {last!r} would run {target.replace(' ', '.')} to be read"
    except (zipfile.BadZipFile, StopIteration, ValueError, KeyError):
        return "it cannot be read without running what is in it"
    return "it holds more than plain tensors"


def _check_length(path: Path, start: bytes) -> None:
    """Refuse a safetensors file whose tensors end beyond it, by the name of the first."""
    size_bytes = path.stat().st_size
    if len(start) < 8 or struct.unpack("<Q", start)[0] > size_bytes - 8:
        raise CheckpointRefused(
            f"{path.name}: neither a safetensors file nor a zip of tensors, or cut short"
        )
    length = struct.unpack("<Q", start)[0]
    with path.open("rb") as file:
        file.seek(8)
        try:
            header = json.loads(file.read(length))
            ends = {
                name: 8 + length + entry["data_offsets"][1]
                for name, entry in header.items()
                if name != "__metadata__"
            }
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            raise CheckpointRefused(f"{path.name}: its header is damaged") from None
    for name, end in sorted(ends.items(), key=lambda item: item[1]):
        if end > size_bytes:
            raise CheckpointRefused(f"{path.name}: cut short within tensor {name!r}")


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["unreadable"])[0][:200]
