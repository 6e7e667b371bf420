"""The simulator: patch code, recurrent network and denoiser put together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neuralos.diffusion.sampling import sample
from neuralos.models.config import SimulatorConfig
from neuralos.models.cursor import CursorTable, covered_cells
from neuralos.models.denoiser import Denoiser, DrawingHint
from neuralos.models.draft import Draft
from neuralos.models.patch_code import PatchCode
from neuralos.models.rnn import Recurrent
from neuralos.models.state import SimulatorState
from neuralos.shapes import GRID_HEIGHT, GRID_WIDTH, HEIGHT_PX, WIDTH_PX

KEEP, RESTORE, DRAW = 0, 1, 2
"""What may become of a cell: stay as it was, show its memory again, be drawn anew."""

_KEEP_BIAS = 4.0
"""Most cells keep their look: the network starts from there."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the recurrent network makes of a segment, N = B·T frames.

    ``fate_N3HW`` are the logits of KEEP, RESTORE, DRAW.
    """

    hint: DrawingHint
    fate_N3HW: Tensor
    state: SimulatorState


class Simulator(nn.Module):
    """NeuralOS in small: the RNN tracks, the denoiser draws, the patch code shows.

    Cells keep their previous latent, or get back what the cursor had covered, or are
    drawn; the choice is hard when sampling, so what is untouched stays exact.
    """

    first_frame: Tensor
    """A frame (96, 128, 3) from which to begin where no other is known."""

    def __init__(self, config: SimulatorConfig) -> None:
        super().__init__()
        self.config = config
        context = config.rnn.context
        self.register_buffer("first_frame", torch.zeros(HEIGHT_PX, WIDTH_PX, 3, dtype=torch.uint8))
        self.code = PatchCode(config.components)
        self.rnn = Recurrent(config.rnn, config.components)
        self.fate = nn.Conv2d(context, 3, 3, padding=1)
        self.fate_now = CursorTable(3)
        self.fate_before = CursorTable(3)
        self.draft = Draft(config.components, context, config.rnn.exit)
        self.denoiser = Denoiser(config.denoiser, config.components, context)
        self.first_hidden = nn.Parameter(torch.zeros(config.rnn.lstm))
        self.first_spatial = nn.Parameter(torch.zeros(config.rnn.spatial, 1, 1))
        with torch.no_grad():
            dict(self.fate.named_parameters())["bias"][KEEP] = _KEEP_BIAS

    def initial_state(self, latent_BCHW: Tensor) -> SimulatorState:
        """Return the state in which a passage begins at a known frame."""
        batch = len(latent_BCHW)
        hidden = self.first_hidden.expand(batch, -1)
        spatial = self.first_spatial.expand(batch, -1, GRID_HEIGHT, GRID_WIDTH)
        return SimulatorState(hidden, torch.zeros_like(hidden), spatial, latent_BCHW)

    def observe(
        self,
        previous_BTCHW: Tensor,
        memory_BTCHW: Tensor,
        action_BUA: Tensor,
        keys_BTK: Tensor,
        state: SimulatorState,
    ) -> Observation:
        """Track a segment whose frames are known.

        Args:
            previous_BTCHW: the latent before each frame.
            memory_BTCHW: the memory before each frame.
            action_BUA: T + 1 actions, from that of the frame before the first.
            keys_BTK: key indices.
            state: the carried state; its memory is not read here.
        """
        context, tracked, carry = self.rnn(
            (previous_BTCHW, memory_BTCHW),
            action_BUA[:, 1:],
            action_BUA[:, :-1],
            keys_BTK,
            (state.hidden, state.cell, state.spatial),
        )
        memory = memory_BTCHW.flatten(0, 1)
        now = action_BUA[:, 1:, :2].flatten(0, 1)
        before = action_BUA[:, :-1, :2].flatten(0, 1)
        draft = self.draft(memory, context, tracked, now)
        hint = DrawingHint(previous_BTCHW.flatten(0, 1), draft, context, now)
        moved = (now != before).any(1).view(-1, 1, 1, 1)
        fate = self.fate(context) + moved * (self.fate_now(now) + self.fate_before(before))
        hidden, cell, spatial = carry
        return Observation(hint, fate, SimulatorState(hidden, cell, spatial, state.memory))

    def step(
        self,
        previous_BCHW: Tensor,
        action_B2A: Tensor,
        keys_BK: Tensor,
        state: SimulatorState,
        noise_BCHW: Tensor,
    ) -> tuple[Tensor, SimulatorState]:
        """Draw the next latent.

        Args:
            previous_BCHW: the latent of the frame before.
            action_B2A: the action of the frame before and that of this frame, (B, 2, A).
            keys_BK: key indices of this frame.
            state: the carried state.
            noise_BCHW: what the sampler starts from.

        Returns:
            The latent (B, C, H, W) and the new state.
        """
        seen = self.observe(
            previous_BCHW[:, None], state.memory[:, None], action_B2A, keys_BK[:, None], state
        )
        fate = seen.fate_N3HW.argmax(1, keepdim=True)
        drawn = sample(self.denoiser, noise_BCHW, seen.hint, self.config.sampler_steps)
        latent = torch.where(fate == DRAW, drawn, previous_BCHW)
        latent = torch.where(fate == RESTORE, state.memory, latent)
        return latent, self.remember(seen.state, latent, action_B2A[:, 1, :2])

    def take(
        self,
        previous_BCHW: Tensor,
        latent_BCHW: Tensor,
        action_B2A: Tensor,
        keys_BK: Tensor,
        state: SimulatorState,
    ) -> SimulatorState:
        """Return the state after a frame that is known (a warm start)."""
        seen = self.observe(
            previous_BCHW[:, None], state.memory[:, None], action_B2A, keys_BK[:, None], state
        )
        return self.remember(seen.state, latent_BCHW, action_B2A[:, 1, :2])

    @staticmethod
    def remember(state: SimulatorState, latent_BCHW: Tensor, position_B2: Tensor) -> SimulatorState:
        """Return the state with the memory of every cell that the cursor leaves bare."""
        memory = torch.where(covered_cells(position_B2), state.memory, latent_BCHW)
        return SimulatorState(state.hidden, state.cell, state.spatial, memory)
