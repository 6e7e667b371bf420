"""The simulator whose cells are kept, restored or drawn: ``tiny``, and ``fast`` by its sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from neuralos.diffusion.sampling import sample
from neuralos.models.config import SimulatorConfig
from neuralos.models.cursor import CursorTable, covered_cells
from neuralos.models.denoiser import Denoiser, DrawingHint
from neuralos.models.draft import Draft
from neuralos.models.patch_code import PatchCode
from neuralos.models.rnn import Recurrent
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState

KEEP, RESTORE, DRAW = 0, 1, 2
"""What may become of a cell: stay as it was, show its memory again, be drawn anew."""

_KEEP_BIAS = 4.0
"""Most cells keep their look: the network starts from there."""


@dataclass(frozen=True)
class GatedState(SimulatorState):
    """The carried state of B lanes, in addition to the last latent and action.

    ``hidden``, ``cell`` (B, R): the LSTM that tracks the computer. ``spatial``
    (B, S, H, W): the convolutional GRU. ``memory`` (B, C, H, W): the last look of every
    cell while the cursor did not cover it.
    """

    hidden: Tensor
    cell: Tensor
    spatial: Tensor
    memory: Tensor

    def map_latents(self, function: Callable[[Tensor], Tensor]) -> GatedState:
        """Return the state with last look and memory replaced."""
        return replace(self, latent=function(self.latent), memory=function(self.memory))


@dataclass(frozen=True, slots=True)
class Observation:
    """What the recurrent network makes of a segment, N = B·T frames.

    ``fate_N3HW`` are the logits of KEEP, RESTORE, DRAW; ``carry`` is what the recurrent
    network carries on: hidden, cell, spatial.
    """

    hint: DrawingHint
    fate_N3HW: Tensor
    carry: tuple[Tensor, Tensor, Tensor]


class GatedSimulator(Simulator):
    """NeuralOS in small: the RNN tracks, the denoiser draws, the patch code shows.

    Cells keep their previous latent, or get back what the cursor had covered, or are
    drawn; the choice is hard when sampling, so what is untouched stays exact.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        super().__init__()
        self.config = config
        context, screen, channels = config.rnn.context, config.screen, config.components
        blank = torch.zeros(screen.height_px, screen.width_px, 3, dtype=torch.uint8)
        self.register_buffer("first_frame", blank)
        self.autoencoder = PatchCode(channels, screen)
        self.rnn = Recurrent(config.rnn, channels, screen)
        self.fate = nn.Conv2d(context, 3, 3, padding=1)
        self.fate_now = CursorTable(3, screen)
        self.fate_before = CursorTable(3, screen)
        self.draft = Draft(channels, context, config.rnn.exit, screen)
        self.denoiser = Denoiser(config.denoiser, channels, context, screen)
        self.first_hidden = nn.Parameter(torch.zeros(config.rnn.lstm))
        self.first_spatial = nn.Parameter(torch.zeros(config.rnn.spatial, 1, 1))
        with torch.no_grad():
            dict(self.fate.named_parameters())["bias"][KEEP] = _KEEP_BIAS

    def initial_state(self, latent_BCHW: Tensor, action_BA: Tensor) -> GatedState:
        """Return the state in which a passage begins at a known frame."""
        batch = len(latent_BCHW)
        hidden = self.first_hidden.expand(batch, -1)
        spatial = self.first_spatial.expand(batch, -1, *self.latent_shape[1:])
        zeros = torch.zeros_like(hidden)
        return GatedState(latent_BCHW, action_BA, hidden, zeros, spatial, latent_BCHW)

    def observe(
        self,
        previous_BTCHW: Tensor,
        memory_BTCHW: Tensor,
        action_BUA: Tensor,
        keys_BTK: Tensor,
        carry: tuple[Tensor, Tensor, Tensor],
    ) -> Observation:
        """Track a segment whose frames are known.

        Args:
            previous_BTCHW: the latent before each frame.
            memory_BTCHW: the memory before each frame.
            action_BUA: T + 1 actions, from that of the frame before the first.
            keys_BTK: key indices.
            carry: hidden, cell and spatial of the carried state.
        """
        action_BUA = self.in_simulated_pixels(action_BUA)
        context, tracked, carry = self.rnn(
            (previous_BTCHW.flatten(0, 1), memory_BTCHW.flatten(0, 1)),
            action_BUA[:, 1:],
            action_BUA[:, :-1],
            keys_BTK,
            carry,
        )
        memory = memory_BTCHW.flatten(0, 1)
        now = action_BUA[:, 1:, :2].flatten(0, 1)
        before = action_BUA[:, :-1, :2].flatten(0, 1)
        draft = self.draft((memory,), context, tracked, now)
        hint = DrawingHint(previous_BTCHW.flatten(0, 1), draft, context, now)
        moved = (now != before).any(1).view(-1, 1, 1, 1)
        fate = self.fate(context) + moved * (self.fate_now(now) + self.fate_before(before))
        return Observation(hint, fate, carry)

    def step(
        self, state: SimulatorState, action_BA: Tensor, keys_BK: Tensor, noise_BCHW: Tensor
    ) -> tuple[Tensor, GatedState]:
        """Draw the next latent; see ``Simulator.step``."""
        state = _gated(self.carried(state))
        seen = self._observe_one(state, action_BA, keys_BK)
        fate = seen.fate_N3HW.argmax(1, keepdim=True)
        drawn = sample(self.denoiser, noise_BCHW, seen.hint, self.config.sampler_steps)
        latent = torch.where(fate == DRAW, drawn, state.latent)
        latent = torch.where(fate == RESTORE, state.memory, latent)
        return latent, self._after(state, seen, latent, action_BA)

    def take(
        self, state: SimulatorState, latent_BCHW: Tensor, action_BA: Tensor, keys_BK: Tensor
    ) -> GatedState:
        """Return the state after a frame that is known (a warm start)."""
        state = _gated(self.carried(state))
        seen = self._observe_one(state, action_BA, keys_BK)
        return self._after(state, seen, latent_BCHW, action_BA)

    def remember(self, memory_BCHW: Tensor, latent_BCHW: Tensor, action_BA: Tensor) -> Tensor:
        """Return the memory with every cell that the cursor leaves bare brought up to date."""
        covered = covered_cells(self.in_simulated_pixels(action_BA)[:, :2], self.screen)
        return torch.where(covered, memory_BCHW, latent_BCHW)

    def _observe_one(self, state: GatedState, action_BA: Tensor, keys_BK: Tensor) -> Observation:
        return self.observe(
            state.latent[:, None],
            state.memory[:, None],
            torch.stack((state.action, action_BA), 1),
            keys_BK[:, None],
            (state.hidden, state.cell, state.spatial),
        )

    def _after(
        self, state: GatedState, seen: Observation, latent: Tensor, action_BA: Tensor
    ) -> GatedState:
        memory = self.remember(state.memory, latent, action_BA)
        return GatedState(latent, action_BA, *seen.carry, memory)


def _gated(state: SimulatorState) -> GatedState:
    if not isinstance(state, GatedState):
        raise TypeError(f"a gated simulator carries a GatedState, not a {type(state).__name__}")
    return state
