"""Simulators of the public architecture, to and from folders of parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from neuralos.checkpoints.folder import Sampling, load_parts, save_parts, simulator_config
from neuralos.checkpoints.refusal import CheckpointRefused
from neuralos.models.paper.simulator import PaperSimulator

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
        simulator = PaperSimulator(simulator_config(parts.config, sampling), parts)
    except ValueError as error:
        raise CheckpointRefused(f"{folder.name}: {error}") from None
    picture = folder / FIRST_FRAME_FILE
    if picture.is_file():
        _set_first_frame(simulator, picture)
    return simulator


def _set_first_frame(simulator: PaperSimulator, picture: Path) -> None:
    try:
        frame = np.asarray(Image.open(picture).convert("RGB"))
    except OSError as error:
        raise CheckpointRefused(f"{picture.name}: {error}") from None
    if frame.shape != tuple(simulator.first_frame.shape):
        raise CheckpointRefused(f"{picture.name}: of another screen")
    simulator.first_frame.copy_(torch.from_numpy(frame.copy()))
