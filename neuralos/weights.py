"""The simulator's own files in a checkpoint: the averaged weights that are played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from neuralos.config import ConfigError, read_document, to_toml
from neuralos.models.architectures import make_simulator
from neuralos.models.config import SimulatorConfig
from neuralos.models.simulator import Simulator
from neuralos.training.checkpoint import read_json, read_tensors, write_json, write_tensors

WEIGHTS_FILE = "simulator.safetensors"
ABOUT_FILE = "simulator.json"
SIZES_FILE = "simulator.toml"


@dataclass(frozen=True, slots=True)
class PlayableSimulator:
    """A simulator, and the step it was taken at."""

    simulator: Simulator
    step: int


def save_simulator(
    folder: Path, simulator: Simulator, average: Mapping[str, Tensor], step: int
) -> None:
    """Write the averaged weights, sizes and step of a simulator into a folder."""
    write_tensors(folder / WEIGHTS_FILE, {**simulator.state_dict(), **average})
    sizes = to_toml({"simulator": simulator.config})
    (folder / SIZES_FILE).write_text(sizes, encoding="utf-8")
    write_json(
        folder / ABOUT_FILE, {"step": step, "autoencoder_digest": simulator.autoencoder.digest()}
    )


def load_simulator(folder: Path) -> PlayableSimulator:
    """Read what ``save_simulator`` wrote.

    Raises:
        ValueError: a file is missing, damaged, or does not fit; the message names the tensor.
    """
    try:
        config = read_document(folder / SIZES_FILE).section("simulator", SimulatorConfig)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    about = read_json(folder / ABOUT_FILE)
    simulator = make_simulator(config)
    simulator.load_state_dict(read_tensors(folder / WEIGHTS_FILE, simulator.state_dict()))
    if simulator.autoencoder.digest() != about["autoencoder_digest"]:
        raise ValueError(f"{WEIGHTS_FILE}: the autoencoder's tensors are not those that were saved")
    return PlayableSimulator(simulator.eval(), int(about["step"]))
