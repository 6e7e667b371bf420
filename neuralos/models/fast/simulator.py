"""The architecture ``fast``: a small head, a few-step renderer, cells that stay as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralos.diffusion.paths import NoisePath
from neuralos.models.autoencoder import Autoencoder
from neuralos.models.config import SimulatorConfig
from neuralos.models.cursor import covered_cells
from neuralos.models.fast.inputs import ActionInputs
from neuralos.models.fast.renderer import Renderer, RenderHint
from neuralos.models.fast.tracker import Tracker
from neuralos.models.patch_code import PatchCode
from neuralos.models.simulator import Simulator
from neuralos.models.small_autoencoder import SmallAutoencoder
from neuralos.models.state import SimulatorState

KEEP, RESTORE, DRAW = 0, 1, 2
"""What may become of a cell: stay as it was, show its memory again, be drawn anew."""

_KEEP_BIAS = 3.0
"""Most cells keep their look: the network starts from there."""

_FEATURES = 64


@dataclass(frozen=True)
class FastState(SimulatorState):
    """The carried state of B lanes, in addition to the last latent and action.

    ``carry`` (B, S) of the recurrence; ``memory`` (B, C, H, W): the last look of every cell
    while the cursor did not cover it.
    """

    carry: Tensor
    memory: Tensor

    def map_latents(self, function: Callable[[Tensor], Tensor]) -> FastState:
        """Return the state with last look and memory replaced."""
        return replace(self, latent=function(self.latent), memory=function(self.memory))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the recurrent network makes of a segment, N = B·T frames.

    ``fate_N3HW`` are the logits of KEEP, RESTORE, DRAW; ``carry_BS`` goes on.
    """

    hint: RenderHint
    fate_N3HW: Tensor
    carry_BS: Tensor


class FastSimulator(Simulator):
    """An RNN tracks the computer, a UNet of 1 or 2 steps draws from the latent before.

    It differs from the paper's model (arXiv 2507.08800) by values of its configuration: head,
    autoencoder, path, where the sampler starts, what it is told of the pointer, the gate.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        super().__init__()
        self.config = config
        fast, screen, channels = config.fast, config.screen, config.components
        blank = torch.zeros(screen.height_px, screen.width_px, 3, dtype=torch.uint8)
        self.register_buffer("first_frame", blank)
        self.autoencoder = _make_autoencoder(config)
        self.inputs = ActionInputs(fast.inputs, screen)
        context, maps = fast.tracker.context, self.inputs.maps
        seen = 2 * channels + maps
        grid = (screen.grid_height, screen.grid_width)
        self.tracker = Tracker(fast.tracker, self.inputs.size, seen, grid)
        self.features = nn.Conv2d(seen + context, _FEATURES, 3, padding=1)
        self.fate = nn.Conv2d(_FEATURES, 3, 1)
        self.share = nn.Conv2d(_FEATURES, 1, 1)
        self.change = nn.Conv2d(_FEATURES, channels, 1)
        path = NoisePath(fast.path)
        self.denoiser = Renderer(fast.renderer, path, channels, context + maps, screen)
        with torch.no_grad():
            self.change.weight.zero_()
            dict(self.change.named_parameters())["bias"].zero_()
            dict(self.fate.named_parameters())["bias"][KEEP] = _KEEP_BIAS

    def initial_state(self, latent_BCHW: Tensor, action_BA: Tensor) -> FastState:
        """Return the state in which a passage begins at a known frame."""
        carry = self.tracker.first.expand(len(latent_BCHW), -1)
        return FastState(latent_BCHW, action_BA, carry, latent_BCHW)

    def observe(
        self,
        previous_BTCHW: Tensor,
        memory_BTCHW: Tensor,
        action_BUA: Tensor,
        keys_BTK: Tensor,
        carry_BS: Tensor,
    ) -> Seen:
        """Track a segment whose frames are known.

        Args:
            previous_BTCHW: the latent before each frame.
            memory_BTCHW: the memory before each frame.
            action_BUA: T + 1 actions, from that of the frame before the first.
            keys_BTK: key indices.
            carry_BS: what is carried.
        """
        batch, frames = keys_BTK.shape[:2]
        scaled = self.in_simulated_pixels(action_BUA)
        now, before = scaled[:, 1:].flatten(0, 1), scaled[:, :-1].flatten(0, 1)
        maps = self.inputs.grid(now, before)
        previous, memory = previous_BTCHW.flatten(0, 1), memory_BTCHW.flatten(0, 1)
        seen = torch.cat((previous, memory, maps), 1)
        numbers = self.inputs.numbers(now, keys_BTK.flatten(0, 1))
        context, carry = self.tracker(
            seen.view(batch, frames, *seen.shape[1:]), numbers.view(batch, frames, -1), carry_BS
        )
        features = F.silu(self.features(torch.cat((seen, context), 1)))
        # Not lerp: under autocast the share is in half precision.
        base = previous + torch.sigmoid(self.share(features)) * (memory - previous)
        draft = base + self.change(features)
        hint = RenderHint(previous, memory, draft, context, maps)
        return Seen(hint, self.fate(features), carry)

    def step(
        self, state: SimulatorState, action_BA: Tensor, keys_BK: Tensor, noise_BCHW: Tensor
    ) -> tuple[Tensor, FastState]:
        """Draw the next latent; see ``Simulator.step``."""
        state = fast_state(self.carried(state))
        seen = self._observe_one(state, action_BA, keys_BK)
        draws = self.denoiser.given(seen.hint)
        path, steps = self.denoiser.path, self.config.sampler_steps
        latent = path.sample(draws, state.latent, noise_BCHW, steps)
        if self.config.fast.gate:
            fate = seen.fate_N3HW.argmax(1, keepdim=True)
            latent = torch.where(fate == DRAW, latent, state.latent)
            latent = torch.where(fate == RESTORE, state.memory, latent)
        return latent, self._after(state, seen, latent, action_BA)

    def take(
        self, state: SimulatorState, latent_BCHW: Tensor, action_BA: Tensor, keys_BK: Tensor
    ) -> FastState:
        """Return the state after a frame that is known (a warm start)."""
        state = fast_state(self.carried(state))
        seen = self._observe_one(state, action_BA, keys_BK)
        return self._after(state, seen, latent_BCHW, action_BA)

    def remember(self, memory_BCHW: Tensor, latent_BCHW: Tensor, action_BA: Tensor) -> Tensor:
        """Return the memory with every cell that the cursor leaves bare brought up to date."""
        if not self.config.fast.memory:
            return latent_BCHW
        covered = covered_cells(self.in_simulated_pixels(action_BA)[:, :2], self.screen)
        spill = self.config.fast.spill
        wide = F.max_pool2d(covered.float(), 2 * spill + 1, stride=1, padding=spill) > 0
        return torch.where(wide, memory_BCHW, latent_BCHW)

    def _observe_one(self, state: FastState, action_BA: Tensor, keys_BK: Tensor) -> Seen:
        return self.observe(
            state.latent[:, None],
            state.memory[:, None],
            torch.stack((state.action, action_BA), 1),
            keys_BK[:, None],
            state.carry,
        )

    def _after(self, state: FastState, seen: Seen, latent: Tensor, action_BA: Tensor) -> FastState:
        memory = self.remember(state.memory, latent, action_BA)
        return FastState(latent, action_BA, seen.carry_BS, memory)


def fast_state(state: SimulatorState) -> FastState:
    """Return a state as this architecture's.

    Raises:
        TypeError: it is of another one.
    """
    if not isinstance(state, FastState):
        raise TypeError(f"a fast simulator carries a FastState, not a {type(state).__name__}")
    return state


def _make_autoencoder(config: SimulatorConfig) -> Autoencoder:
    if config.fast.autoencoder == "patches":
        return PatchCode(config.components, config.screen)
    return SmallAutoencoder(config.components, config.fast.small, config.screen)
