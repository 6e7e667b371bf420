"""Whatever draws the frames of passages: a simulator, or a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from neuralos.data.encode import Floats, Frames, Keys
from neuralos.data.latents import encode_frames
from neuralos.evaluation.passage import Passage
from neuralos.keyed import torch_generator
from neuralos.models.autoencoder import Autoencoder
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState


class Predictor(Protocol):
    """Follows the known frames of B passages, then draws theirs one after another."""

    def begin(self, passages: Sequence[Passage]) -> None:
        """Follow the warm frames of passages, each of which has as many."""
        ...

    def draw(self, actions_BA: Floats, keys_BK: Keys) -> Frames:
        """Draw the next frame of each passage, (B, Y, P, 3), after its action."""
        ...


class Simulated:
    """A simulator: sees the warm frames and the actions, nothing else.

    Args:
        simulator: draws.
        seed: of the noise, which depends on this, the passage and the frame alone.
    """

    def __init__(self, simulator: Simulator, seed: int) -> None:
        self._simulator = simulator
        self._seed = seed
        self._names: list[str] = []
        self._state: SimulatorState | None = None
        self._drawn = 0

    @torch.no_grad()
    def begin(self, passages: Sequence[Passage]) -> None:
        """Follow the warm frames of passages."""
        simulator = self._simulator
        self._names, self._drawn = [passage.id for passage in passages], 0
        actions_NBA, keys_NBK = (
            torch.from_numpy(np.stack(columns, axis=1)).to(simulator.autoencoder.device)
            for columns in (
                [passage.actions[: passage.warm] for passage in passages],
                [passage.keys[: passage.warm] for passage in passages],
            )
        )
        warm = [_encoded(simulator.autoencoder, one.frames[: one.warm]) for one in passages]
        latent_NBCHW = torch.stack(warm, 1)
        state = simulator.initial_state(latent_NBCHW[0], actions_NBA[0])
        for latent, action, keys in zip(
            latent_NBCHW[1:], actions_NBA[1:], keys_NBK[1:], strict=True
        ):
            state = simulator.take(state, latent, action, keys)
        self._state = state

    @torch.no_grad()
    def draw(self, actions_BA: Floats, keys_BK: Keys) -> Frames:
        """Draw the next frame of each passage; black where the carried state is not finite."""
        if self._state is None:
            raise RuntimeError("draw before begin")
        autoencoder = self._simulator.autoencoder
        noise = torch.stack([self._noise(name) for name in self._names])
        actions, keys = torch.from_numpy(actions_BA), torch.from_numpy(keys_BK)
        latent, self._state = self._simulator.step(
            self._state, *(one.to(autoencoder.device) for one in (actions, keys, noise))
        )
        self._drawn += 1
        finite = torch.stack(
            [one.isfinite().flatten(1).all(1) for one in (latent, *self._state.tensors())]
        ).all(0)
        frames: Frames = autoencoder.decode(latent.nan_to_num()).cpu().numpy()
        frames[~finite.cpu().numpy()] = 0
        return frames

    def _noise(self, name: str) -> torch.Tensor:
        generator = torch_generator(self._seed, "evaluate", name, self._drawn)
        return torch.randn(self._simulator.latent_shape, generator=generator)


class CopyLast:
    """Shows one of the known frames for ever: the last, or another."""

    def __init__(self, known: int = -1) -> None:
        """Store which of the known frames is shown."""
        self._known = known

    def begin(self, passages: Sequence[Passage]) -> None:
        """Keep the last known frames."""
        self._frames = np.stack([one.frames[: one.warm][self._known] for one in passages])

    def draw(self, actions_BA: Floats, keys_BK: Keys) -> Frames:
        """Show them again."""
        return self._frames


class Recited:
    """Shows the real frames, through an autoencoder if there is one: the best it can show."""

    def __init__(self, autoencoder: Autoencoder | None = None) -> None:
        """Store the autoencoder."""
        self._autoencoder = autoencoder

    def begin(self, passages: Sequence[Passage]) -> None:
        """Keep the real frames."""
        self._real = [passage.real for passage in passages]
        self._shown = 0

    @torch.no_grad()
    def draw(self, actions_BA: Floats, keys_BK: Keys) -> Frames:
        """Show the next real frame of each passage; the last one where it is over."""
        frames = np.stack([real[min(self._shown, len(real) - 1)] for real in self._real])
        self._shown += 1
        if self._autoencoder is None:
            return frames
        shown = self._autoencoder.decode(_encoded(self._autoencoder, frames))
        decoded: Frames = shown.cpu().numpy()
        return decoded


_ENCODED_AT_ONCE = 15


def _encoded(autoencoder: Autoencoder, frames: Frames) -> torch.Tensor:
    parts = [
        encode_frames(autoencoder, frames[first : first + _ENCODED_AT_ONCE])
        for first in range(0, len(frames), _ENCODED_AT_ONCE)
    ]
    return torch.cat(parts)
