"""Checkpoints in diffusers' folder layout, so that other tools open the parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from neuralos.checkpoints.container import check_finite, read_container
from neuralos.checkpoints.refusal import CheckpointRefused
from neuralos.config import ConfigError, read_document, to_toml
from neuralos.models.config import SimulatorConfig
from neuralos.models.paper.config import PaperConfig
from neuralos.models.paper.parts import PaperParts
from neuralos.shapes import SCREEN_HEIGHT_PX, SCREEN_WIDTH_PX, Screen

INDEX_FILE = "model_index.json"
SIZES_FILE = "simulator.toml"
UNPLAYABLE_SIZES_FILE = "paper.toml"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
CONFIG_FILE = "config.json"
SCHEDULER_FOLDER = "scheduler"

_CLASSES = {
    "unet": ("diffusers", "UNet2DModel"),
    "vae": ("diffusers", "AutoencoderKL"),
    "temporal_encoder": ("neuralos.models.paper.temporal_encoder", "TemporalEncoder"),
    SCHEDULER_FOLDER: ("diffusers", "DDIMScheduler"),
}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a checkpoint is played: in how many steps of the sampler."""

    steps: int = 2


def save_parts(
    folder: Path,
    parts: PaperParts,
    sampling: Sampling,
    instead: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> None:
    """Write the parts as ``unet``, ``vae`` and ``temporal_encoder``, with an index.

    The statistics of the latents stand in the autoencoder's configuration, where diffusers
    has keys for them.

    Args:
        folder: where to.
        parts: what to write.
        sampling: how it is to be played.
        instead: by part, tensors to write in place of its own, such as averages.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_sizes(folder, parts.config, sampling)
    for name, module in parts.modules().items():
        (folder / name).mkdir(exist_ok=True)
        _write_json(folder / name / CONFIG_FILE, _config_of(name, module, parts))
        tensors = _own_memory({**module.state_dict(), **(instead or {}).get(name, {})})
        save_file(tensors, folder / name / WEIGHTS_FILE, metadata={"format": "pt"})
    (folder / SCHEDULER_FOLDER).mkdir(exist_ok=True)
    _write_json(folder / SCHEDULER_FOLDER / "scheduler_config.json", _scheduler(parts.config))
    # Last, since a folder without it is no checkpoint.
    index = {"_class_name": "NeuralOS", "_diffusers_version": diffusers.__version__}
    _write_json(folder / INDEX_FILE, {**index, **{name: list(_CLASSES[name]) for name in _CLASSES}})


def load_parts(folder: Path) -> tuple[PaperParts, Sampling]:
    """Read what ``save_parts`` wrote, ready to draw.

    Raises:
        CheckpointRefused: a file is missing or damaged, or a tensor is missing, of another
            shape, not finite or not of this model; the message names it.
    """
    config, sampling = _read_sizes(folder)
    parts = PaperParts.blank(config)
    for name, module in parts.modules().items():
        try:
            tensors = read_container(folder / name / WEIGHTS_FILE)
            _check(tensors, module.state_dict())
        except CheckpointRefused as error:
            raise CheckpointRefused(f"{name}: {error}", error.hint) from None
        module.load_state_dict(tensors, assign=True)
        module.eval()
    parts.autoencoder.set_statistics(*_statistics(folder / "vae" / CONFIG_FILE, config.channels))
    return parts, sampling


def simulator_config(sizes: PaperConfig, sampling: Sampling) -> SimulatorConfig:
    """Return the configuration of a simulator of these sizes.

    Raises:
        ValueError: what it shows is no whole reduction of a desktop's screen.
    """
    reduction = SCREEN_WIDTH_PX // sizes.width_px
    shown = sizes.width_px * reduction, sizes.height_px * reduction
    if shown != (SCREEN_WIDTH_PX, SCREEN_HEIGHT_PX):
        raise ValueError(
            f"it shows {sizes.width_px}×{sizes.height_px} pixels, which do not divide the "
            f"{SCREEN_WIDTH_PX}×{SCREEN_HEIGHT_PX} of a desktop; it can be checked, not played"
        )
    screen = Screen(reduction, sizes.cell_px)
    return SimulatorConfig("paper", sampler_steps=sampling.steps, screen=screen, paper=sizes)


def is_parts(folder: Path) -> bool:
    """Return whether a folder is one that ``save_parts`` wrote."""
    return (folder / INDEX_FILE).is_file()


def _write_sizes(folder: Path, sizes: PaperConfig, sampling: Sampling) -> None:
    """Write the configuration of a simulator, or of parts that no desktop's screen fits."""
    try:
        text = to_toml({"simulator": simulator_config(sizes, sampling)})
        name = SIZES_FILE
    except ValueError:
        text = to_toml({"sampling": sampling, "paper": sizes})
        name = UNPLAYABLE_SIZES_FILE
    (folder / name).write_text(text, encoding="utf-8")


def _read_sizes(folder: Path) -> tuple[PaperConfig, Sampling]:
    try:
        if (folder / UNPLAYABLE_SIZES_FILE).is_file():
            document = read_document(folder / UNPLAYABLE_SIZES_FILE)
            sampling = document.section("sampling", Sampling)
            return document.section("paper", PaperConfig), sampling
        config = read_document(folder / SIZES_FILE).section("simulator", SimulatorConfig)
    except ConfigError as error:
        raise CheckpointRefused(str(error)) from None
    return config.paper, Sampling(config.sampler_steps)


def _config_of(name: str, module: nn.Module, parts: PaperParts) -> dict[str, Any]:
    if name == "temporal_encoder":
        config = parts.config
        grid = {"grid_width": config.grid_width, "grid_height": config.grid_height}
        sizes = {"channels": config.channels, "cell_px": config.cell_px, **grid}
        return {"_class_name": "TemporalEncoder", **sizes, **asdict(config.temporal)}
    config = json.loads(module.to_json_string())  # type: ignore[operator]
    if name == "vae":
        config["latents_mean"] = parts.autoencoder.mean.tolist()
        config["latents_std"] = parts.autoencoder.std.tolist()
    return dict(config)


def _scheduler(config: PaperConfig) -> dict[str, Any]:
    """Return the settings with which diffusers' sampler agrees where steps divide 1000."""
    return {
        "_class_name": "DDIMScheduler",
        "_diffusers_version": diffusers.__version__,
        "num_train_timesteps": 1000,
        "beta_start": config.beta_start,
        "beta_end": config.beta_end,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "timestep_spacing": "leading",
        "prediction_type": "sample" if config.prediction == "x0" else "epsilon",
    }


def _own_memory(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors that share no memory, as safetensors wants them."""
    tensors = {}
    for name, tensor in named.items():
        whole = tensor.detach().contiguous()
        shared = whole.untyped_storage().nbytes() != whole.numel() * whole.element_size()
        tensors[name] = whole.clone() if shared else whole
    return tensors


def _check(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> None:
    for name, wanted in like.items():
        found = tensors.get(name)
        if found is None:
            raise CheckpointRefused(f"tensor {name!r} is missing")
        if found.shape != wanted.shape:
            raise CheckpointRefused(
                f"tensor {name!r} is {tuple(found.shape)}, not {tuple(wanted.shape)}"
            )
        check_finite(name, found)
    for name in tensors:
        if name not in like:
            raise CheckpointRefused(f"tensor {name!r} is not of this model")


def _statistics(path: Path, channels: int) -> tuple[Tensor, Tensor]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        both = [torch.tensor(config[key]) for key in ("latents_mean", "latents_std")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointRefused(f"vae: no statistics of latents: {error}") from None
    for values in both:
        if values.shape != (channels,) or not bool(torch.isfinite(values).all()):
            raise CheckpointRefused(f"vae: statistics of latents are not {channels} numbers")
    return both[0], both[1]


def _write_json(path: Path, obj: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(obj, indent=2, sort_keys=True) + "\n", encoding="utf-8")
