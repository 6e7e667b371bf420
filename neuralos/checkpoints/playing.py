"""Simulators of the public architecture, to and from folders of parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from neuralos.checkpoints.folder import Sampling, load_parts, save_parts
from neuralos.checkpoints.refusal import CheckpointRefused
from neuralos.models.config import SimulatorConfig
from neuralos.models.paper.config import PaperConfig
from neuralos.models.paper.simulator import PaperSimulator
from neuralos.shapes import SCREEN_HEIGHT_PX, SCREEN_WIDTH_PX, Screen

FIRST_FRAME_FILE = "first_frame.png"

_PREFIXES = {"unet": "denoiser.", "vae": "autoencoder.kl.", "temporal_encoder": "temporal."}
"""How the parts' tensors are called within the simulator."""


def save_paper(folder: Path, simulator: PaperSimulator, average: Mapping[str, Tensor]) -> None:
    """Write a simulator as parts, with averages in place of its weights where there are some."""
    instead = {
        part: {
            name.removeprefix(prefix): tensor
            for name, tensor in average.items()
            if name.startswith(prefix)
        }
        for part, prefix in _PREFIXES.items()
    }
    save_parts(folder, simulator.parts, Sampling(simulator.config.sampler_steps), instead)
    Image.fromarray(simulator.first_frame.cpu().numpy()).save(folder / FIRST_FRAME_FILE)


def load_paper(folder: Path) -> PaperSimulator:
    """Read a simulator that ``save_paper`` or an import wrote.

    Raises:
        CheckpointRefused: a part does not fit, or shows another kind of screen than desktops.
    """
    parts, sampling = load_parts(folder)
    try:
        simulator = PaperSimulator(simulator_config(parts.config, sampling.steps), parts)
    except ValueError as error:
        raise CheckpointRefused(f"{folder.name}: {error}") from None
    picture = folder / FIRST_FRAME_FILE
    if picture.is_file():
        _set_first_frame(simulator, picture)
    return simulator


def simulator_config(sizes: PaperConfig, sampler_steps: int) -> SimulatorConfig:
    """Return the configuration of a simulator of these sizes.

    Raises:
        ValueError: what it shows is no whole reduction of a desktop's screen.
    """
    reduction = SCREEN_WIDTH_PX // sizes.width_px
    if (sizes.width_px * reduction, sizes.height_px * reduction) != (
        SCREEN_WIDTH_PX,
        SCREEN_HEIGHT_PX,
    ):
        raise ValueError(
            f"it shows {sizes.width_px}×{sizes.height_px} pixels, which do not divide the "
            f"{SCREEN_WIDTH_PX}×{SCREEN_HEIGHT_PX} of a desktop; it can be checked, not played"
        )
    screen = Screen(reduction, sizes.cell_px)
    return SimulatorConfig("paper", sampler_steps=sampler_steps, screen=screen, paper=sizes)


def _set_first_frame(simulator: PaperSimulator, picture: Path) -> None:
    try:
        frame = np.asarray(Image.open(picture).convert("RGB"))
    except OSError as error:
        raise CheckpointRefused(f"{picture.name}: {error}") from None
    if frame.shape != tuple(simulator.first_frame.shape):
        raise CheckpointRefused(f"{picture.name}: of another screen")
    simulator.first_frame.copy_(torch.from_numpy(frame.copy()))
