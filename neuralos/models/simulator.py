"""What every simulator offers, whatever its architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from neuralos.models.autoencoder import Autoencoder
from neuralos.models.config import SimulatorConfig
from neuralos.models.state import SimulatorState
from neuralos.shapes import Screen


class Simulator(nn.Module, ABC):
    """Draws the next frame of a computer from what was done and what it carries.

    Rows of a batch never meet: a session in a batch is the session alone. What a subclass
    carries beyond the last latent and action is its own kind of ``SimulatorState``.
    """

    config: SimulatorConfig
    autoencoder: Autoencoder

    first_frame: Tensor
    """A frame (Y, P, 3) from which to begin where no other is known."""

    @property
    def screen(self) -> Screen:
        """What it shows."""
        return self.config.screen

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of a latent."""
        return self.autoencoder.channels, self.screen.grid_height, self.screen.grid_width

    def in_simulated_pixels(self, action: Tensor) -> Tensor:
        """Return actions (..., A) with their place in simulated, not screen, pixels."""
        return torch.cat((action[..., :2] / self.screen.reduction, action[..., 2:]), -1)

    @abstractmethod
    def initial_state(self, latent_BCHW: Tensor, action_BA: Tensor) -> SimulatorState:
        """Return the state in which a passage begins at a known frame."""

    def start_state(self, action_BA: Tensor) -> SimulatorState:
        """Return the state in which a session begins of which no frame is known."""
        latent = self.autoencoder.encode(self.first_frame[None])
        return self.initial_state(latent.expand(len(action_BA), -1, -1, -1), action_BA)

    def carried(self, state: SimulatorState) -> SimulatorState:
        """Return what a frame begins with: the state or, without ``carry``, a new one."""
        if self.config.carry:
            return state
        return self.initial_state(state.latent, state.action)

    @abstractmethod
    def step(
        self, state: SimulatorState, action_BA: Tensor, keys_BK: Tensor, noise_BCHW: Tensor
    ) -> tuple[Tensor, SimulatorState]:
        """Draw the next latent.

        Args:
            state: the carried state.
            action_BA: the action of this frame.
            keys_BK: key indices of this frame.
            noise_BCHW: what the sampler starts from.

        Returns:
            The latent (B, C, H, W) and the new state.
        """

    @abstractmethod
    def take(
        self, state: SimulatorState, latent_BCHW: Tensor, action_BA: Tensor, keys_BK: Tensor
    ) -> SimulatorState:
        """Return the state after a frame that is known (a warm start)."""
