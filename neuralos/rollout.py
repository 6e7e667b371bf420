"""Rollouts: frames that the simulator generates, and pictures of them beside the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from neuralos.data.encode import Floats, Keys
from neuralos.data.latents import encode_frames
from neuralos.keyed import torch_generator
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Recording:
    """Reduced frames (N, Y, P, 3) and the actions that led to each."""

    frames: Frames
    actions: Floats
    keys: Keys


@dataclass(slots=True)
class Player:
    """A simulator being played, and the state that it carries."""

    simulator: Simulator
    state: SimulatorState
    seed: int
    drawn: int = 0

    @classmethod
    def begin(cls, simulator: Simulator, frame: Frames, action: Floats, seed: int) -> Player:
        """Start from one known frame (Y, P, 3)."""
        with torch.no_grad():
            latent = encode_frames(simulator.autoencoder, frame[None])
            state = simulator.initial_state(latent, torch.from_numpy(action)[None])
        return cls(simulator, state, seed)

    @torch.no_grad()
    def take(self, frame: Frames, action: Floats, keys: Keys) -> None:
        """Follow a frame that is known."""
        latent = encode_frames(self.simulator.autoencoder, frame[None])
        self.state = self.simulator.take(self.state, latent, *_rows(action, keys))

    @torch.no_grad()
    def draw(self, action: Floats, keys: Keys) -> Frames:
        """Draw the next frame (Y, P, 3)."""
        generator = torch_generator(self.seed, "draw", self.drawn)
        noise = torch.randn(1, *self.simulator.latent_shape, generator=generator)
        latent, self.state = self.simulator.step(self.state, *_rows(action, keys), noise)
        self.drawn += 1
        frame: Frames = self.simulator.autoencoder.decode(latent)[0].numpy()
        return frame

    @torch.no_grad()
    def swap(self, simulator: Simulator) -> None:
        """Go on with other weights; latents of another autoencoder are coded anew."""
        old, new = self.simulator.autoencoder, simulator.autoencoder
        if new.digest() != old.digest():
            self.state = self.state.map_latents(lambda latent: new.encode(old.decode(latent)))
        self.simulator = simulator


def _rows(action: Floats, keys: Keys) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(action)[None], torch.from_numpy(keys)[None]


def rollout(simulator: Simulator, recording: Recording, warm_frames: int, seed: int) -> Frames:
    """Follow ``warm_frames`` frames, then generate the rest from their actions alone."""
    player = Player.begin(simulator, recording.frames[0], recording.actions[0], seed)
    for t in range(1, warm_frames):
        player.take(recording.frames[t], recording.actions[t], recording.keys[t])
    generated = [
        player.draw(recording.actions[t], recording.keys[t])
        for t in range(warm_frames, len(recording.frames))
    ]
    return np.stack(generated)


def write_strip(path: Path, real: Frames, generated: Frames, columns: Sequence[int]) -> None:
    """Write a picture: real frames above, generated ones below, one column each."""
    index = list(columns)
    rows = [np.concatenate(list(frames[index]), axis=1) for frames in (real, generated)]
    gap = np.full((2, rows[0].shape[1], 3), 255, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate((rows[0], gap, rows[1]), axis=0)).save(path)
