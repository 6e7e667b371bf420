"""The simulator that cuts and pastes what it can and draws the rest: ``tiny``."""

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
from neuralos.models.gated import GatedState
from neuralos.models.looking import is_wanted
from neuralos.models.looks import CellCounts, Looks
from neuralos.models.patch_code import PatchCode
from neuralos.models.pieces import PIECES, cut, join, maps_of_cells, rows_of_cells
from neuralos.models.rnn import WAVES, Recurrent
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState
from neuralos.models.timers import TIMER_NUMBERS, displacement, tick, timer_numbers, unknown

KEEP, RESTORE, UNCOVER, PIECE, LOOK, DRAW = range(6)
"""What may become of a cell: stay, show its memory or the scenery again, be put together
from pieces, take one of the looks, be drawn anew."""

FATES = 6
PICTURES = 4
"""Pictures to copy from: the last frame, the memory, the scenery, the last frame moved."""

_NUMBERS = TIMER_NUMBERS + 2 * WAVES + 2
"""Numbers for the recurrent network: timers, two anchors, a displacement."""

_MOVE_PX = 8.0
"""A usual displacement."""

_KEEP_BIAS = 4.0
"""Most cells keep their look: the network starts from there."""


@dataclass(frozen=True)
class CollageState(GatedState):
    """A gated simulator's state, with ``timers`` and ``anchors`` (see ``timers``), (B, 4) each."""

    timers: Tensor
    anchors: Tensor

    def map_latents(self, function: Callable[[Tensor], Tensor]) -> CollageState:
        """Return the state with last look and memory replaced."""
        return replace(self, latent=function(self.latent), memory=function(self.memory))


@dataclass(frozen=True, slots=True)
class CollageObservation:
    """What the recurrent network makes of a segment, N = B·T frames.

    ``pictures`` are the PICTURES to copy from (N, C, H, W), ``noisy`` the same as the
    networks see them. ``fate`` (N, FATES, H, W) and ``piece`` (N, PICTURES·PIECES, H, W)
    are logits. ``context`` (N, X, H, W) and ``tracked`` (N, R) are the recurrent network's,
    ``position`` and ``position_before`` (N, 2) the pointer's in simulated pixels; the rest is
    carried on.
    """

    pictures: tuple[Tensor, ...]
    noisy: tuple[Tensor, ...]
    context: Tensor
    tracked: Tensor
    position: Tensor
    position_before: Tensor
    fate: Tensor
    piece: Tensor
    carry: tuple[Tensor, Tensor, Tensor]
    timers: Tensor
    anchors: Tensor


class CollageSimulator(Simulator):
    """NeuralOS in small, on the grounds that most of a new frame was seen before.

    A cell keeps its latent, shows again what the cursor or a window had covered, moves with
    what is dragged, or takes one of the looks that were frequent in the data; the denoiser
    draws what remains. The choice is hard when sampling, so what is copied stays exact.
    """

    autoencoder: PatchCode

    scenery: Tensor
    """The frame (Y, P, 3) of every cell's most common look."""

    def __init__(self, config: SimulatorConfig) -> None:
        super().__init__()
        self.config = config
        context, screen, channels = config.rnn.context, config.screen, config.components
        blank = torch.zeros(screen.height_px, screen.width_px, 3, dtype=torch.uint8)
        self.register_buffer("first_frame", blank)
        self.register_buffer("scenery", blank.clone())
        self.autoencoder = PatchCode(channels, screen)
        self.rnn = Recurrent(config.rnn, channels, screen, PICTURES - 1, _NUMBERS)
        self.fate = nn.Conv2d(context, FATES, 3, padding=1)
        self.fate_now = CursorTable(FATES, screen)
        self.fate_before = CursorTable(FATES, screen)
        self.piece = nn.Conv2d(context, PICTURES * PIECES, 1)
        self.looks = Looks(config.collage, context, screen)
        self.draft = Draft(channels, context, config.rnn.exit, screen, PICTURES)
        self.denoiser = Denoiser(config.denoiser, channels, context, screen)
        self.first_hidden = nn.Parameter(torch.zeros(config.rnn.lstm))
        self.first_spatial = nn.Parameter(torch.zeros(config.rnn.spatial, 1, 1))
        with torch.no_grad():
            dict(self.fate.named_parameters())["bias"][KEEP] = _KEEP_BIAS

    def fit(self, counts: CellCounts) -> None:
        """Take scenery and looks from what was counted."""
        self.scenery.copy_(torch.from_numpy(counts.scenery().copy()))
        self.looks.keep(counts.looks())

    def initial_state(self, latent_BCHW: Tensor, action_BA: Tensor) -> CollageState:
        """Return the state in which a passage begins at a known frame.

        What its cursor covers is taken to be scenery.
        """
        batch = len(latent_BCHW)
        hidden = self.first_hidden.expand(batch, -1)
        spatial = self.first_spatial.expand(batch, -1, *self.latent_shape[1:])
        memory = latent_BCHW
        if self.config.collage.scenery:
            memory = self.remember(self._scenery_latent().expand_as(memory), memory, action_BA)
        zeros, counted = torch.zeros_like(hidden), unknown(batch, latent_BCHW.device)
        return CollageState(latent_BCHW, action_BA, hidden, zeros, spatial, memory, *counted)

    def observe(
        self,
        previous_BTCHW: Tensor,
        memory_BTCHW: Tensor,
        action_BUA: Tensor,
        keys_BTK: Tensor,
        state: CollageState,
        noise_BTCHW: Tensor | None = None,
    ) -> CollageObservation:
        """Track a segment whose frames are known.

        Args:
            previous_BTCHW: the latent before each frame.
            memory_BTCHW: the memory before each frame.
            action_BUA: T + 1 actions, from that of the frame before the first.
            keys_BTK: key indices.
            state: the carried state; of its latents nothing is read.
            noise_BTCHW: added to what the networks see of latents that are fed back.
        """
        action_BUA = self.in_simulated_pixels(action_BUA)
        numbers, moves_N2, timers, anchors = self._count(action_BUA, keys_BTK, state)
        previous, memory = previous_BTCHW.flatten(0, 1), memory_BTCHW.flatten(0, 1)
        scenery = self._scenery_latent().expand_as(previous)
        if not self.config.collage.scenery:
            scenery = memory
        pictures = (previous, memory, scenery, self._moved(previous, moves_N2))
        noisy = pictures
        if noise_BTCHW is not None:
            noise = noise_BTCHW.flatten(0, 1)
            noisy = (previous + noise, memory + noise, scenery, pictures[3] + noise)
        context, tracked, carry = self.rnn(
            noisy,
            action_BUA[:, 1:],
            action_BUA[:, :-1],
            keys_BTK,
            (state.hidden, state.cell, state.spatial),
            numbers,
        )
        now = action_BUA[:, 1:, :2].flatten(0, 1)
        before = action_BUA[:, :-1, :2].flatten(0, 1)
        went = (now != before).any(1).view(-1, 1, 1, 1)
        fate = self.fate(context) + went * (self.fate_now(now) + self.fate_before(before))
        piece = self.piece(context)
        return CollageObservation(
            pictures, noisy, context, tracked, now, before, fate, piece, carry, timers, anchors
        )

    def hint(self, seen: CollageObservation, rows: Tensor | None = None) -> DrawingHint:
        """Return what the drawing of all frames, or of some, is conditioned on."""
        index = slice(None) if rows is None else rows
        noisy = tuple(picture[index] for picture in seen.noisy)
        context, position = seen.context[index], seen.position[index]
        draft = self.draft(noisy, context, seen.tracked[index], position)
        return DrawingHint(noisy[0], draft, context, position)

    def step(
        self, state: SimulatorState, action_BA: Tensor, keys_BK: Tensor, noise_BCHW: Tensor
    ) -> tuple[Tensor, CollageState]:
        """Draw the next latent; see ``Simulator.step``."""
        state = _collage(self.carried(state))
        seen = self._observe_one(state, action_BA, keys_BK)
        fate = seen.fate.masked_fill(~self._offered(), -torch.inf).argmax(1, keepdim=True)
        latent, memory, scenery, _ = seen.pictures
        latent = torch.where(fate == RESTORE, memory, latent)
        latent = torch.where(fate == UNCOVER, scenery, latent)
        # What no cell needs is left out; what is done is done for whole frames, so that the
        # bits of a row do not depend on the others.
        if is_wanted(fate == PIECE):
            latent = torch.where(fate == PIECE, self._put_together(seen), latent)
        if is_wanted(fate == LOOK):
            latent = torch.where(fate == LOOK, self._looked(seen), latent)
        if is_wanted(fate == DRAW):
            hint = self.hint(seen)
            drawn = sample(self.denoiser, noise_BCHW, hint, self.config.sampler_steps)
            latent = torch.where(fate == DRAW, drawn, latent)
        return latent, self._after(state, seen, latent, action_BA)

    def take(
        self, state: SimulatorState, latent_BCHW: Tensor, action_BA: Tensor, keys_BK: Tensor
    ) -> CollageState:
        """Return the state after a frame that is known (a warm start)."""
        state = _collage(self.carried(state))
        seen = self._observe_one(state, action_BA, keys_BK)
        return self._after(state, seen, latent_BCHW, action_BA)

    def remember(self, memory_BCHW: Tensor, latent_BCHW: Tensor, action_BA: Tensor) -> Tensor:
        """Return the memory with every cell that the cursor leaves bare brought up to date."""
        covered = covered_cells(self.in_simulated_pixels(action_BA)[:, :2], self.screen)
        return torch.where(covered, memory_BCHW, latent_BCHW)

    def _offered(self) -> Tensor:
        """Return which fates there are, (FATES, 1, 1)."""
        choices, device = self.config.collage, self.scenery.device
        offered = torch.ones(FATES, 1, 1, dtype=torch.bool, device=device)
        offered[UNCOVER] = choices.scenery
        offered[PIECE] = choices.move
        offered[LOOK] = self.looks.count[0] > 0
        return offered

    def _scenery_latent(self) -> Tensor:
        return self.autoencoder.encode(self.scenery[None])

    def _count(
        self, action_BUA: Tensor, keys_BTK: Tensor, state: CollageState
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return numbers for the recurrent network, displacements (N, 2), timers, anchors."""
        timers, anchors = state.timers, state.anchors
        counted: list[tuple[Tensor, Tensor, Tensor]] = []
        grid_px = self.config.collage.move_grid_px
        for t in range(keys_BTK.shape[1]):
            moves = displacement(anchors, action_BUA[:, t], action_BUA[:, t + 1], grid_px)
            timers, anchors = tick(timers, anchors, action_BUA[:, t + 1], keys_BTK[:, t])
            counted.append((timers, anchors, moves))
        all_timers, all_anchors, moves_N2 = (
            torch.stack(column, 1).flatten(0, 1) for column in zip(*counted, strict=True)
        )
        moves_N2 = moves_N2 * self.config.collage.move
        places = [self.rnn.waves(anchor) for anchor in (all_anchors[:, :2], all_anchors[:, 2:])]
        numbers = torch.cat((timer_numbers(all_timers), *places), 1) * self.config.collage.timers
        return torch.cat((numbers, moves_N2 / _MOVE_PX), 1), moves_N2, timers, anchors

    def _moved(self, latent_NCHW: Tensor, moves_N2: Tensor) -> Tensor:
        """Return latents of the pictures moved by whole pixels."""
        moves = moves_N2.any(1)
        if not is_wanted(moves):
            return latent_NCHW
        if not self.training:
            moved = self.autoencoder.shift(latent_NCHW, moves_N2)
            return torch.where(moves.view(-1, 1, 1, 1), moved, latent_NCHW)
        rows = moves.nonzero()[:, 0]
        moved = self.autoencoder.shift(latent_NCHW[rows], moves_N2[rows])
        return latent_NCHW.index_copy(0, rows, moved)

    def _put_together(self, seen: CollageObservation) -> Tensor:
        """Return the latents (N, C, H, W) whose every piece is from its likeliest picture."""
        height, width = self.latent_shape[1:]
        best = rows_of_cells(seen.piece).view(-1, PICTURES, PIECES).argmax(1)
        offered = torch.stack(
            [cut(self.autoencoder.cell_pixels(rows_of_cells(one))) for one in seen.pictures], 1
        )
        index = best[:, None, :, None].expand(-1, 1, -1, offered.shape[3])
        pixels = join(offered.gather(1, index)[:, 0])
        return maps_of_cells(self.autoencoder.cell_latents(pixels), height, width)

    def _looked(self, seen: CollageObservation) -> Tensor:
        """Return the latents (N, C, H, W) of every cell's likeliest look."""
        height, width = self.latent_shape[1:]
        pixels = torch.cat([self.looks.choose(rows_of_cells(one[None])) for one in seen.context])
        return maps_of_cells(self.autoencoder.cell_latents(pixels), height, width)

    def _observe_one(
        self, state: CollageState, action_BA: Tensor, keys_BK: Tensor
    ) -> CollageObservation:
        return self.observe(
            state.latent[:, None],
            state.memory[:, None],
            torch.stack((state.action, action_BA), 1),
            keys_BK[:, None],
            state,
        )

    def _after(
        self,
        state: CollageState,
        seen: CollageObservation,
        latent_BCHW: Tensor,
        action_BA: Tensor,
    ) -> CollageState:
        memory = self.remember(state.memory, latent_BCHW, action_BA)
        counted = (seen.timers, seen.anchors)
        return CollageState(latent_BCHW, action_BA, *seen.carry, memory, *counted)


def _collage(state: SimulatorState) -> CollageState:
    if not isinstance(state, CollageState):
        raise TypeError(f"a collage carries a CollageState, not a {type(state).__name__}")
    return state
