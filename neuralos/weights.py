"""The simulator's own files in a checkpoint: the averaged weights that are played."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neuralos.config import ConfigError, read_document, to_toml
from neuralos.models.simulator import Simulator, SimulatorConfig
from neuralos.shapes import HEIGHT_PX, WIDTH_PX
from neuralos.training.checkpoint import read_json, read_tensors, write_json, write_tensors

WEIGHTS_FILE = "simulator.safetensors"
ABOUT_FILE = "simulator.json"
SIZES_FILE = "simulator.toml"

_FIRST_FRAME = "first_frame"


@dataclass(frozen=True, slots=True)
class PlayableSimulator:
    """A simulator with the step it was taken at and a frame to begin from, (96, 128, 3)."""

    simulator: Simulator
    step: int
    first_frame: npt.NDArray[np.uint8]


def save_simulator(
    folder: Path,
    simulator: Simulator,
    average: dict[str, Tensor],
    step: int,
    first_frame: npt.NDArray[np.uint8],
) -> None:
    """Write the averaged weights, sizes and step of a simulator into a folder."""
    tensors = {**simulator.state_dict(), **average}
    write_tensors(
        folder / WEIGHTS_FILE, {**tensors, _FIRST_FRAME: torch.from_numpy(first_frame.copy())}
    )
    (folder / SIZES_FILE).write_text(
        to_toml({"simulator": simulator.config}), encoding="utf-8"
    )
    write_json(folder / ABOUT_FILE, {"step": step, "code_digest": simulator.code.digest()})


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
    simulator = Simulator(config)
    like = {**simulator.state_dict(), _FIRST_FRAME: torch.zeros(HEIGHT_PX, WIDTH_PX, 3, dtype=torch.uint8)}
    tensors = read_tensors(folder / WEIGHTS_FILE, like)
    first_frame = tensors.pop(_FIRST_FRAME).numpy()
    simulator.load_state_dict(tensors)
    if simulator.code.digest() != about["code_digest"]:
        raise ValueError(f"{WEIGHTS_FILE}: tensor 'code.basis' is not the one that was saved")
    return PlayableSimulator(simulator.eval(), int(about["step"]), first_frame)





