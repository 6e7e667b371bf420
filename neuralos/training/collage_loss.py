"""The objective of a collage: every cell's fate, its pieces or look, the draft, the diffusion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from neuralos.data.batch import Batch
from neuralos.diffusion.loss import diffusion_loss
from neuralos.models.collage import (
    DRAW,
    KEEP,
    LOOK,
    PICTURES,
    PIECE,
    RESTORE,
    UNCOVER,
    CollageObservation,
    CollageSimulator,
    CollageState,
)
from neuralos.models.cursor import covered_cells
from neuralos.models.pieces import PIECES, cut, rows_of_cells
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState
from neuralos.ranks import Whole
from neuralos.training.config import ObjectiveConfig
from neuralos.training.loss import Loss
from neuralos.training.objective import choose_frames, draft_loss, drawing_weights, memories

_SAME = 0.05
"""Latents closer than this show the same pixels, but for rounding."""

_SAME_PIXEL = 3 / 255

_TELLING = 64
"""Two looks that differ do so in one of so many of the coarsest components."""

_FATE_CELLS = 16
"""Brings the sum over a frame's cells to the size of the other parts."""

_FEW_PIECED, _FEW_LOOKED = 8, 16
"""With fewer cells than this, a step's mean over them weighs less."""


@dataclass(frozen=True, slots=True)
class Fates:
    """What became of every cell.

    ``fate_NHW`` is one of the fates; ``surprising_NHW`` says which cells changed otherwise than
    by the cursor's coming or going. ``pieced`` (M,) and ``looked`` (L,) are the numbers of
    the cells (row by row over N, H, W) whose fate is PIECE or LOOK; ``offers`` (M, PICTURES,
    PIECES) says which pictures hold each piece, ``look`` (L,) which look it is.
    """

    fate_NHW: Tensor
    surprising_NHW: Tensor
    pieced: Tensor
    offers: Tensor
    looked: Tensor
    look: Tensor


def collage_loss(
    simulator: Simulator,
    batch: Batch,
    state: SimulatorState,
    config: ObjectiveConfig,
    generator: torch.Generator,
) -> Loss:
    """Return the loss on every valid frame of a batch of segments.

    The losses of fates, pieces and looks cover all frames; those of draft and denoiser cover
    ``drawn_frames`` of them, drawn in favour of those with much to draw.

    Raises:
        TypeError: the simulator is of another architecture.
    """
    if not isinstance(simulator, CollageSimulator) or not isinstance(state, CollageState):
        raise TypeError(f"this objective trains collages, not {type(simulator).__name__}")
    clean = batch.latent_BUCHW[:, 1:].flatten(0, 1)
    previous_BTCHW = batch.latent_BUCHW[:, :-1]
    memory_BTCHW, last_memory = memories(simulator, batch, state.memory)
    noise = _feedback_noise(
        previous_BTCHW, simulator, config.feedback_noise, batch.whole, generator
    )
    seen = simulator.observe(
        previous_BTCHW, memory_BTCHW, batch.action_BUA, batch.keys_BTK, state, noise
    )
    valid_N = batch.valid_BT.flatten()
    fates = true_fates(simulator, clean, seen, valid_N)
    drawn_NHW = drawing_weights(fates.fate_NHW == DRAW, batch.valid_BT)
    drawn_NHW = drawn_NHW * (1 + config.surprise * fates.surprising_NHW)
    chosen, drawings = choose_frames(drawn_NHW.sum((1, 2)), batch, config.drawn_frames, generator)
    hint = simulator.hint(seen, chosen)
    importance = simulator.autoencoder.importance()
    weight = drawn_NHW[chosen]
    parts = {
        "fate": _fate_loss(seen, fates, valid_N, config.surprise, batch.whole),
        "piece": _piece_loss(seen, fates, batch.whole),
        "look": _look_loss(simulator, seen, fates, batch.whole),
        "draft": draft_loss(hint.draft, clean[chosen], weight, importance, drawings),
        "diffusion": diffusion_loss(
            simulator.denoiser,
            clean[chosen],
            hint,
            weight + config.still_weight,
            importance,
            generator,
            drawings,
        ),
    }
    total = torch.stack([getattr(config, name) * part for name, part in parts.items()]).sum()
    after = CollageState(
        batch.latent_BUCHW[:, -1],
        batch.action_BUA[:, -1],
        *seen.carry,
        last_memory,
        seen.timers,
        seen.anchors,
    )
    return Loss(total, parts, after.detach())


@torch.no_grad()
def true_fates(
    simulator: CollageSimulator, clean_NCHW: Tensor, seen: CollageObservation, valid_N: Tensor
) -> Fates:
    """Return what became of each cell: the first of the fates by which it can have come about."""
    choices, code = simulator.config.collage, simulator.autoencoder
    fate = torch.full_like(clean_NCHW[:, 0], DRAW, dtype=torch.int64)
    previous, memory, scenery, _ = seen.pictures
    offers = [(RESTORE, memory), (KEEP, previous)]
    for number, picture in [(UNCOVER, scenery)] * choices.scenery + offers:
        fate[_same(clean_NCHW, picture)] = number
    went = (seen.position != seen.position_before).any(1).view(-1, 1, 1)
    now, before = (
        covered_cells(position, simulator.screen)[:, 0]
        for position in (seen.position, seen.position_before)
    )
    surprising = (fate != KEEP) & ~((now | before) & went)
    bare = ~now & valid_N.view(-1, 1, 1)
    open_cells = ((fate == DRAW) & bare).flatten().nonzero()[:, 0]
    at = torch.unravel_index(open_cells, fate.shape)

    def pixels_of(latent_NCHW: Tensor) -> Tensor:
        return code.cell_pixels(latent_NCHW.permute(0, 2, 3, 1)[at])

    pixels = pixels_of(clean_NCHW)
    offered = torch.stack([cut(pixels_of(picture)) for picture in seen.pictures], 1)
    holds = (offered - cut(pixels)[:, None]).abs().amax(3) < _SAME_PIXEL
    is_pieced = holds.any(1).all(1) & choices.move
    look = simulator.looks.match(pixels, code.basis)
    is_looked = (look >= 0) & ~is_pieced
    pieced, looked = open_cells[is_pieced], open_cells[is_looked]
    fate.view(-1)[pieced] = PIECE
    fate.view(-1)[looked] = LOOK
    return Fates(fate, surprising, pieced, holds[is_pieced], looked, look[is_looked])


def _same(one: Tensor, other: Tensor) -> Tensor:
    return (one[:, :_TELLING] - other[:, :_TELLING]).abs().amax(1) < _SAME


def _feedback_noise(
    previous: Tensor,
    simulator: CollageSimulator,
    most: float,
    whole: Whole,
    generator: torch.Generator,
) -> Tensor:
    """Return noise of a random size for each of half of the lanes, on what the RNN reads."""
    share = (whole.draw(torch.rand, (len(previous),), generator) * 2 - 1).clamp_min(0) * most
    noise = torch.zeros(previous.shape)
    coarse = noise[:, :, : simulator.rnn.components]
    drawn = whole.draw(torch.randn, coarse.shape, generator)
    coarse.copy_(drawn * share.view(-1, 1, 1, 1, 1))
    return noise.to(previous.device)


def _fate_loss(
    seen: CollageObservation, fates: Fates, valid_N: Tensor, surprise: float, whole: Whole
) -> Tensor:
    """The cross entropy summed over cells, more where they change, per valid frame."""
    loss = F.cross_entropy(seen.fate, fates.fate_NHW, reduction="none")
    weight = 1 + (fates.fate_NHW != KEEP).float() + surprise * fates.surprising_NHW
    total = (loss * weight * valid_N.view(-1, 1, 1)).sum()
    return whole.mean(total, valid_N.sum(), least=1) / _FATE_CELLS


def _piece_loss(seen: CollageObservation, fates: Fates, whole: Whole) -> Tensor:
    """The chance that a piece is taken from a picture that holds it, as a log-likelihood."""
    logits = rows_of_cells(seen.piece)[fates.pieced].view(-1, PICTURES, PIECES)
    right = logits.masked_fill(~fates.offers, -torch.inf).logsumexp(1)
    total = (logits.logsumexp(1) - right).mean(1).sum()
    return whole.mean(total, _count(fates.pieced), more=_FEW_PIECED)


def _look_loss(
    simulator: CollageSimulator, seen: CollageObservation, fates: Fates, whole: Whole
) -> Tensor:
    logits = simulator.looks.logits(rows_of_cells(seen.context)[fates.looked])
    total = F.cross_entropy(logits, fates.look, reduction="sum")
    return whole.mean(total, _count(fates.looked), more=_FEW_LOOKED)


def _count(cells: Tensor) -> Tensor:
    return torch.tensor(float(len(cells)), device=cells.device)
