"""The public model as a simulator: what a session carries, and how frames follow."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from neuralos.diffusion.ddim import Ladder, sample_ddim
from neuralos.models.config import SimulatorConfig
from neuralos.models.paper.action_reader import ActionReader
from neuralos.models.paper.autoencoder import KlAutoencoder
from neuralos.models.paper.inputs import PaperInput
from neuralos.models.paper.parts import PaperParts
from neuralos.models.paper.temporal_encoder import TemporalEncoder, Track
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState


@dataclass(frozen=True)
class PaperState(SimulatorState):
    """The carried state of B lanes, in addition to the last latent and action.

    Five tensors (B, h): hidden and cell of both LSTMs, and the feedback. ``changed`` (B, 2)
    counts the frames whose pointer was moved onto the screen, and the keys that were dropped.
    """

    lower_hidden: Tensor
    lower_cell: Tensor
    upper_hidden: Tensor
    upper_cell: Tensor
    feedback: Tensor
    changed: Tensor

    @property
    def track(self) -> Track:
        """What the recurrent network carries."""
        return Track(
            self.lower_hidden, self.lower_cell, self.upper_hidden, self.upper_cell, self.feedback
        )


class PaperSimulator(Simulator):
    """NeuralOS as published (arXiv 2507.08800)."""

    autoencoder: KlAutoencoder

    def __init__(self, config: SimulatorConfig, parts: PaperParts) -> None:
        super().__init__()
        self.config = config
        shape = (config.paper.height_px, config.paper.width_px, 3)
        blank = torch.zeros(shape, dtype=torch.uint8, device="cpu")
        self.register_buffer("first_frame", blank)
        self.autoencoder = parts.autoencoder
        self.temporal: TemporalEncoder = parts.temporal
        self.denoiser: Any = parts.unet
        self.reader = ActionReader(config.paper, config.screen.reduction)
        self.noise_table = parts.table()
        self._ladder = Ladder.of(self.noise_table, config.sampler_steps)

    @property
    def parts(self) -> PaperParts:
        """The networks by themselves."""
        return PaperParts(self.config.paper, self.autoencoder, self.temporal, self.denoiser)

    @property
    def prediction(self) -> str:
        """What ``denoise`` gives: the clean latent (``x0``) or the noise (``eps``)."""
        return self.config.paper.prediction

    def initial_state(self, latent_BCHW: Tensor, action_BA: Tensor) -> PaperState:
        """Return the state in which a passage begins at a known frame of any session."""
        return _state(latent_BCHW, action_BA, self.temporal.start(len(latent_BCHW)), None)

    def start_state(self, action_BA: Tensor) -> PaperState:
        """Return the state in which a session begins: no frame yet, its own carried state."""
        shape = (len(action_BA), *self.latent_shape)
        latent = self.autoencoder.normalise(torch.zeros(shape, device=action_BA.device))
        return _state(latent, action_BA, self.temporal.session.track(len(action_BA)), None)

    def step(
        self, state: SimulatorState, action_BA: Tensor, keys_BK: Tensor, noise_BCHW: Tensor
    ) -> tuple[Tensor, PaperState]:
        """Draw the next latent; see ``Simulator.step``."""
        before = _paper(self.carried(state))
        inputs, changed = self.reader(action_BA, keys_BK)
        context, track = self.temporal.step(inputs, before.latent, before.track)
        latent = self._draw(noise_BCHW, context, self._ladder)
        return latent, _state(latent, action_BA, track, before.changed + changed)

    def take(
        self, state: SimulatorState, latent_BCHW: Tensor, action_BA: Tensor, keys_BK: Tensor
    ) -> PaperState:
        """Return the state after a frame that is known; nothing is drawn."""
        before = _paper(self.carried(state))
        inputs, changed = self.reader(action_BA, keys_BK)
        read = self.temporal.read(inputs)
        _, track = self.temporal.follow(read, inputs, before.latent, before.track)
        return _state(latent_BCHW, action_BA, track, before.changed + changed)

    def unroll(
        self, latent_BUCHW: Tensor, action_BUA: Tensor, keys_BTK: Tensor, state: SimulatorState
    ) -> tuple[Tensor, PaperState]:
        """Track a segment whose frames are known.

        Args:
            latent_BUCHW: the frame before the first, then T frames; that of frame t is not read
                for the context of frame t.
            action_BUA: the action of each of these frames.
            keys_BTK: key indices of the last T frames.
            state: what was carried up to the frame before the first; its latent is not read.

        Returns:
            The contexts (B, T, X, H, W), whose first C channels guess the frame's latent, and
            the state after the last frame.
        """
        before, changed = _paper(state), _paper(state).changed
        frames = []
        for t in range(keys_BTK.shape[1]):
            inputs, now = self.reader(action_BUA[:, t + 1], keys_BTK[:, t])
            frames.append(inputs)
            changed = changed + now
        together = PaperInput.stack(frames)
        context, track = self.temporal.unroll(together, latent_BUCHW[:, :-1], before.track)
        return context, _state(latent_BUCHW[:, -1], action_BUA[:, -1], track, changed)

    def denoise(self, noisy_NCHW: Tensor, timestep_N: Tensor, context_NXHW: Tensor) -> Tensor:
        """Return the prediction (N, C, H, W) at integer timesteps."""
        return self.parts.predict(noisy_NCHW, timestep_N, context_NXHW)

    def sample(self, noise_NCHW: Tensor, context_NXHW: Tensor, sampler_steps: int) -> Tensor:
        """Return the latents (N, C, H, W) that the sampler draws from noise."""
        return self._draw(noise_NCHW, context_NXHW, Ladder.of(self.noise_table, sampler_steps))

    def _draw(self, noise: Tensor, context: Tensor, ladder: Ladder) -> Tensor:
        def network(noisy: Tensor, timestep: Tensor) -> Tensor:
            return self.denoise(noisy, timestep, context)

        return sample_ddim(network, noise, ladder, self.prediction)


def make_paper(config: SimulatorConfig) -> PaperSimulator:
    """Return the simulator with its first weights."""
    return PaperSimulator(config, PaperParts.build(config.paper))


def _paper(state: SimulatorState) -> PaperState:
    if not isinstance(state, PaperState):
        raise TypeError(f"a {type(state).__name__} is not carried by this simulator")
    return state


def _state(latent: Tensor, action: Tensor, track: Track, changed: Tensor | None) -> PaperState:
    if changed is None:
        changed = torch.zeros(len(latent), 2, dtype=torch.long, device=latent.device)
    carried = {field.name: getattr(track, field.name) for field in fields(track)}
    return PaperState(latent=latent, action=action, changed=changed, **carried)
