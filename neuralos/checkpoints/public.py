"""The published layout of NeuralOS checkpoints, taken over as our parts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neuralos.checkpoints.container import check_finite, read_container
from neuralos.checkpoints.layout import Entry, layout_of
from neuralos.checkpoints.refusal import CheckpointRefused
from neuralos.checkpoints.sizes import Told, sizes_of
from neuralos.diffusion.noise_table import VECTOR_NAMES, NoiseTable
from neuralos.models.paper.config import PaperConfig
from neuralos.models.paper.keys import KEY_NAMES
from neuralos.models.paper.parts import PaperParts

WEIGHT_FILES = ("model.safetensors", "weights.safetensors")
CONFIG_FILE = "config.json"
STATS_FILE = "latent_stats.json"

AVERAGE_PREFIX = "model_ema."
_AVERAGE_COUNTERS = ("decay", "num_updates")
_VECTOR_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class ImportChoices:
    """What a checkpoint does not show, where the caller knows better.

    ``average`` takes the averaged weights where there are any.
    """

    head_channels: int | None = None
    prediction: str | None = None
    stats: Path | None = None
    average: bool = False


@dataclass(frozen=True)
class PublicCheckpoint:
    """A public checkpoint as it was read: tensors by public name, sizes, statistics.

    ``notes`` say in words what was assumed.
    """

    tensors: dict[str, Tensor]
    config: PaperConfig
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notes: list[str] = field(default_factory=list)


def read_public(source: Path, choices: ImportChoices) -> PublicCheckpoint:
    """Read a public checkpoint: a folder, or its file of weights with the others beside it.

    Raises:
        CheckpointRefused: a file is missing or damaged, or what it says cannot be.
    """
    path = _weights_file(source)
    tensors = read_container(path)
    notes: list[str] = []
    model = _model_of(path.parent / CONFIG_FILE)
    told = _told(model, tensors, choices, notes)
    config = sizes_of(tensors, told)
    if config.temporal.keys != len(KEY_NAMES):
        notes.append(f"it knows {config.temporal.keys} keys, the public list has {len(KEY_NAMES)}")
    mean, std = _statistics(choices.stats or path.parent / STATS_FILE, config.channels)
    return PublicCheckpoint(tensors, config, mean, std, notes)


def to_parts(public: PublicCheckpoint, average: bool = False) -> PaperParts:
    """Return the parts that a public checkpoint describes; its tensors are taken out of it.

    Raises:
        CheckpointRefused: a tensor is missing, of another shape, not finite or not of this
            layout, or a vector of the noise schedule is another's; the message names it.
    """
    tensors = public.tensors
    parts = PaperParts.blank(public.config)
    layout = layout_of(parts)
    _check_names(tensors, layout)
    _check_vectors(tensors, parts.table())
    averages = _averages(tensors, layout)
    if average and not averages:
        raise CheckpointRefused(f"there is no tensor {AVERAGE_PREFIX}*: nothing was averaged")
    loaded: dict[str, dict[str, Tensor]] = {name: {} for name in parts.modules()}
    for name, entry in layout.items():
        tensor = tensors.pop(name)
        if average and name in averages:
            tensor = averages[name]
        check_finite(name, tensor)
        loaded[entry.part].update(entry.take(tensor.float()))
    for part, module in parts.modules().items():
        module.load_state_dict(loaded[part], assign=True)
        module.eval()
    parts.autoencoder.set_statistics(torch.tensor(public.mean), torch.tensor(public.std))
    return parts


def _weights_file(source: Path) -> Path:
    if source.is_file():
        return source
    for name in WEIGHT_FILES:
        if (source / name).is_file():
            return source / name
    raise CheckpointRefused(f"{source}: holds no {' or '.join(WEIGHT_FILES)}")


def _model_of(path: Path) -> Mapping[str, Any]:
    """Return the model's parameters of a published configuration; empty where there is none."""
    try:
        obj = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CheckpointRefused(f"{path.name}: {error}") from None
    for key in ("upstream", "model", "params"):
        if isinstance(obj, Mapping) and isinstance(obj.get(key), Mapping):
            obj = obj[key]
    return obj if isinstance(obj, Mapping) else {}


def _told(
    model: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    choices: ImportChoices,
    notes: list[str],
) -> Told:
    """Return what no tensor shows: as chosen, as configured, or as in the final public model."""
    believed = _describes(model, tensors)
    if model and not believed:
        notes.append("config.json describes a model of other sizes and is not believed")
    if not believed:
        model = {}
    unet = _params(model, "unet_config")
    default = Told()
    found = Told(
        head_channels=choices.head_channels
        or _number(unet, "num_head_channels", default.head_channels),
        prediction=choices.prediction or str(model.get("parameterization", default.prediction)),
        beta_start=_number(model, "linear_start", default.beta_start),
        beta_end=_number(model, "linear_end", default.beta_end),
    )
    if choices.head_channels is None and "num_head_channels" not in unet:
        notes.append(f"attention heads are taken to have {found.head_channels} channels")
    if choices.prediction is None and "parameterization" not in model:
        notes.append(f"the UNet is taken to predict {found.prediction}")
    return found


def _describes(model: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bool:
    """Return whether a configuration has the sizes of the tensors, where it tells them."""
    unet, temporal = _params(model, "unet_config"), _params(model, "temporal_encoder_config")
    pairs = (
        (unet.get("model_channels"), "model.diffusion_model.input_blocks.0.0.weight", 0),
        (unet.get("in_channels"), "model.diffusion_model.input_blocks.0.0.weight", 1),
        (temporal.get("hidden_size"), "temporal_encoder.lstm_projection_pre.weight", 1),
    )
    return all(
        told is None or (name in tensors and tuple(tensors[name].shape)[axis : axis + 1] == (told,))
        for told, name, axis in pairs
    )


def _params(model: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    section = model.get(part)
    params = section.get("params") if isinstance(section, Mapping) else None
    return params if isinstance(params, Mapping) else {}


def _number(table: Mapping[str, Any], key: str, default: Any) -> Any:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise CheckpointRefused(f"{CONFIG_FILE}: {key} is {value!r}, not a number above 0")
    return type(default)(value)


def _statistics(path: Path, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    hint = f"Give the file with --stats; it is published beside the demo as {STATS_FILE}."
    try:
        obj = json.loads(path.read_text(encoding="utf-8"))
        mean, std = (tuple(float(value) for value in obj[key]) for key in ("mean", "std"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointRefused(f"{path.name}: no statistics of latents: {error}", hint) from None
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != channels or not all(map(math.isfinite, values)):
            raise CheckpointRefused(f"{path.name}: {name!r} is not {channels} numbers", hint)
    if min(std) <= 0:
        raise CheckpointRefused(f"{path.name}: 'std' is not above 0", hint)
    return mean, std


def _check_names(tensors: Mapping[str, Tensor], layout: Mapping[str, Entry]) -> None:
    for name, entry in layout.items():
        if name not in tensors:
            raise CheckpointRefused(f"tensor {name!r} is missing")
        shape = tuple(tensors[name].shape)
        if shape != entry.shape:
            raise CheckpointRefused(f"tensor {name!r} is {shape}, not {entry.shape}")
    for name in tensors:
        known = name in layout or name in VECTOR_NAMES or name.startswith(AVERAGE_PREFIX)
        if not known:
            raise CheckpointRefused(f"tensor {name!r} is not of this layout")


def _check_vectors(tensors: dict[str, Tensor], table: NoiseTable) -> None:
    for name, wanted in table.vectors().items():
        found = tensors.get(name)
        if found is None:
            raise CheckpointRefused(f"tensor {name!r} is missing")
        check_finite(name, found)
        if found.shape != wanted.shape:
            raise CheckpointRefused(
                f"tensor {name!r} is {tuple(found.shape)}, not {tuple(wanted.shape)}"
            )
        if not torch.allclose(found.float(), wanted, rtol=_VECTOR_TOLERANCE, atol=1e-6):
            raise CheckpointRefused(f"tensor {name!r} is of another noise schedule")


def _averages(tensors: Mapping[str, Tensor], layout: Mapping[str, Entry]) -> dict[str, Tensor]:
    """Return the averaged weights by plain name; theirs have lost their dots."""
    plain = {}
    for name in layout:
        for start in ("", "model."):
            if name.startswith(start):
                plain[name.removeprefix(start).replace(".", "")] = name
    averages = {}
    for name, tensor in tensors.items():
        short = name.removeprefix(AVERAGE_PREFIX)
        if short == name or short in _AVERAGE_COUNTERS:
            continue
        full = plain.get(short)
        if full is None:
            raise CheckpointRefused(f"tensor {name!r} averages none of this layout")
        if tuple(tensor.shape) != layout[full].shape:
            raise CheckpointRefused(
                f"tensor {name!r} is {tuple(tensor.shape)}, not {layout[full].shape}"
            )
        check_finite(name, tensor)
        averages[full] = tensor
    return _whole(averages, layout)


def _whole(averages: dict[str, Tensor], layout: Mapping[str, Entry]) -> dict[str, Tensor]:
    """Refuse a part of which only some tensors were averaged."""
    averaged = {layout[name].part for name in averages}
    for name, entry in layout.items():
        if entry.part in averaged and name not in averages:
            raise CheckpointRefused(f"tensor {AVERAGE_PREFIX + name.replace('.', '')!r} is missing")
    return averages
