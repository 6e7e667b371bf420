"""The simulator's own files in a checkpoint: the averaged weights that are played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from neuralos.checkpoints.folder import is_parts
from neuralos.checkpoints.playing import load_paper, save_paper
from neuralos.config import ConfigError, read_document, to_toml
from neuralos.models.architectures import make_simulator
from neuralos.models.autoencoder import Autoencoder
from neuralos.models.config import SimulatorConfig
from neuralos.models.paper.simulator import PaperSimulator
from neuralos.models.simulator import Simulator
from neuralos.packing import packed, unpacked
from neuralos.training.checkpoint import (
    check_like,
    read_json,
    read_tensors,
    write_json,
    write_tensors,
)

WEIGHTS_FILE = "simulator.safetensors"
ABOUT_FILE = "simulator.json"
SIZES_FILE = "simulator.toml"

PRECISION, PACKED = "precision", "packed"
_KEPT_WHOLE = "autoencoder."
"""Latents of the same digest must be the same, so what makes them is never packed."""


@dataclass(frozen=True, slots=True)
class PlayableSimulator:
    """A simulator, and the step it was taken at."""

    simulator: Simulator
    step: int


def save_simulator(
    folder: Path, simulator: Simulator, average: Mapping[str, Tensor], step: int
) -> None:
    """Write the averaged weights, sizes and step of a simulator into a folder.

    Those of the public architecture are written as parts that other tools open.
    """
    if isinstance(simulator, PaperSimulator):
        save_paper(folder, simulator, average)
    else:
        write_tensors(folder / WEIGHTS_FILE, {**simulator.state_dict(), **average})
        sizes = to_toml({"simulator": simulator.config})
        (folder / SIZES_FILE).write_text(sizes, encoding="utf-8")
    write_about(folder, step, simulator.autoencoder)


def write_about(folder: Path, step: int, autoencoder: Autoencoder) -> None:
    """Write what is known of a simulator; without it, a folder is none to play."""
    about = {"step": step, "autoencoder_digest": autoencoder.digest()}
    write_json(folder / ABOUT_FILE, about)


def write_packed(source: Path, folder: Path) -> None:
    """Write what ``save_simulator`` wrote into another folder, its weights in little room.

    Raises:
        ValueError: it does not load, or a weight is too large; the message names the tensor.
    """
    simulator = load_simulator(source).simulator
    write_tensors(folder / WEIGHTS_FILE, packed(simulator.state_dict(), _KEPT_WHOLE))
    (folder / SIZES_FILE).write_bytes((source / SIZES_FILE).read_bytes())
    write_json(folder / ABOUT_FILE, {**read_json(source / ABOUT_FILE), PRECISION: PACKED})


def load_simulator(folder: Path) -> PlayableSimulator:
    """Read what ``save_simulator`` wrote, or ``neuralos checkpoint import``.

    Raises:
        ValueError: a file is missing, damaged, or does not fit; the message names the tensor.
    """
    if is_parts(folder):
        about = read_json(folder / ABOUT_FILE)
        return PlayableSimulator(load_paper(folder).eval(), int(about["step"]))
    try:
        config = read_document(folder / SIZES_FILE).section("simulator", SimulatorConfig)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    about = read_json(folder / ABOUT_FILE)
    simulator = make_simulator(config)
    simulator.load_state_dict(load_weights(folder, simulator))
    if simulator.autoencoder.digest() != about["autoencoder_digest"]:
        raise ValueError(f"{WEIGHTS_FILE}: the autoencoder's tensors are not those that were saved")
    return PlayableSimulator(simulator.eval(), int(about["step"]))


def load_weights(folder: Path, like: Simulator) -> dict[str, Tensor]:
    """Return the tensors that ``save_simulator`` or ``write_packed`` wrote.

    Raises:
        ValueError: they are missing, damaged, or do not fit; the message names the tensor.
    """
    wanted = like.state_dict()
    if is_parts(folder):
        ours: dict[str, Tensor] = load_paper(folder).state_dict()
        check_like(folder.name, ours, wanted)
        return ours
    if read_json(folder / ABOUT_FILE).get(PRECISION) != PACKED:
        return read_tensors(folder / WEIGHTS_FILE, wanted)
    tensors = unpacked(read_tensors(folder / WEIGHTS_FILE), wanted)
    check_like(WEIGHTS_FILE, tensors, wanted)
    return tensors
