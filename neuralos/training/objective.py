"""The objective of a gated simulator: every cell's fate, the RNN's draft, the diffusion loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from neuralos.data.batch import Batch
from neuralos.diffusion.loss import cell_error, diffusion_loss
from neuralos.models.collage import CollageSimulator
from neuralos.models.gated import (
    DRAW,
    KEEP,
    RESTORE,
    GatedSimulator,
    GatedState,
    Observation,
)
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState
from neuralos.ranks import Whole
from neuralos.training.config import ObjectiveConfig
from neuralos.training.loss import Loss

_SAME = 0.05
"""Latents closer than this show the same pixels, but for rounding."""

_FATE_CELLS = 16
"""Brings the sum over a frame's cells to the size of the other parts."""


def segment_loss(
    simulator: Simulator,
    batch: Batch,
    state: SimulatorState,
    config: ObjectiveConfig,
    generator: torch.Generator,
) -> Loss:
    """Return the loss on every valid frame of a batch of segments.

    The RNN's losses cover all frames; the denoiser's cover ``drawn_frames`` of them,
    drawn in favour of those with much to draw.

    Raises:
        TypeError: the simulator is of another architecture.
    """
    if not isinstance(simulator, GatedSimulator) or not isinstance(state, GatedState):
        raise TypeError(f"this objective trains gated simulators, not {type(simulator).__name__}")
    clean_BTCHW = batch.latent_BUCHW[:, 1:]
    previous_BTCHW = batch.latent_BUCHW[:, :-1]
    memory_BTCHW, last_memory = memories(simulator, batch, state.memory)
    fate_NHW = true_fates(clean_BTCHW, previous_BTCHW, memory_BTCHW).flatten(0, 1)
    noise = _feedback_noise(previous_BTCHW, config.feedback_noise, batch.whole, generator)
    seen = simulator.observe(
        previous_BTCHW + noise,
        memory_BTCHW + noise,
        batch.action_BUA,
        batch.keys_BTK,
        (state.hidden, state.cell, state.spatial),
    )
    valid_N = batch.valid_BT.flatten()
    drawn_NHW = drawing_weights(fate_NHW == DRAW, batch.valid_BT)
    clean = clean_BTCHW.flatten(0, 1)
    importance = simulator.autoencoder.importance()
    parts = {
        "fate": _fate_loss(seen, fate_NHW, valid_N, batch.whole),
        "draft": draft_loss(seen.hint.draft, clean, drawn_NHW, importance, batch.whole),
    }
    chosen, drawings = choose_frames(drawn_NHW.sum((1, 2)), batch, config.drawn_frames, generator)
    parts["diffusion"] = diffusion_loss(
        simulator.denoiser,
        clean[chosen],
        seen.hint.rows(chosen),
        drawn_NHW[chosen] + config.still_weight,
        importance,
        generator,
        drawings,
    )
    total = (
        config.fate * parts["fate"]
        + config.draft * parts["draft"]
        + config.diffusion * parts["diffusion"]
    )
    after = GatedState(batch.latent_BUCHW[:, -1], batch.action_BUA[:, -1], *seen.carry, last_memory)
    return Loss(total, parts, after.detach())


def memories(
    simulator: GatedSimulator | CollageSimulator, batch: Batch, first_BCHW: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the memory before each frame (B, T, C, H, W), and that after the last."""
    memory = first_BCHW
    before = []
    for t in range(batch.valid_BT.shape[1]):
        before.append(memory)
        memory = simulator.remember(
            memory, batch.latent_BUCHW[:, t + 1], batch.action_BUA[:, t + 1]
        )
    return torch.stack(before, 1), memory


def true_fates(clean: Tensor, previous: Tensor, memory: Tensor) -> Tensor:
    """Return what became of each cell, (B, T, H, W), from latents (B, T, C, H, W)."""
    kept = (clean - previous).abs().amax(2) < _SAME
    restored = (clean - memory).abs().amax(2) < _SAME
    drawn = torch.full(kept.shape, DRAW, device=kept.device)
    return torch.where(kept, KEEP, torch.where(restored, RESTORE, drawn))


def _feedback_noise(
    previous: Tensor, most: float, whole: Whole, generator: torch.Generator
) -> Tensor:
    share = whole.draw(torch.rand, previous.shape[:1], generator)
    share = (share * 2 - 1).clamp_min(0) * most
    noise = whole.draw(torch.randn, previous.shape, generator)
    return noise * share.view(-1, 1, 1, 1, 1)


def _fate_loss(seen: Observation, fate_NHW: Tensor, valid_N: Tensor, whole: Whole) -> Tensor:
    """The cross entropy summed over cells, doubled where they change, per valid frame."""
    loss = F.cross_entropy(seen.fate_N3HW, fate_NHW, reduction="none")
    weight = valid_N.view(-1, 1, 1) * (1 + (fate_NHW != KEEP).float())
    return whole.mean((loss * weight).sum(), valid_N.sum(), least=1) / _FATE_CELLS


def drawing_weights(drawn_NHW: Tensor, valid_BT: Tensor) -> Tensor:
    """Return the weight of each cell that is drawn: those of one place in a segment share 1.

    Else a window being dragged, drawn anew in every frame, would outweigh all that opens.
    """
    drawn_BTHW = drawn_NHW.view(*valid_BT.shape, *drawn_NHW.shape[1:]) * valid_BT[..., None, None]
    return (drawn_BTHW / drawn_BTHW.sum(1, keepdim=True).clamp_min(1)).flatten(0, 1)


def draft_loss(
    draft: Tensor, clean: Tensor, weight_NHW: Tensor, importance_C: Tensor, whole: Whole
) -> Tensor:
    """Return the error on the cells that are drawn; the draft leaves the others alone anyway."""
    cells = weight_NHW > 0
    found, wanted = (latent.permute(0, 2, 3, 1)[cells] for latent in (draft, clean))
    weight = weight_NHW[cells]
    error = cell_error(found, wanted, importance_C)
    return whole.mean((error * weight).sum(), weight.sum(), more=1)


def choose_frames(
    drawn_N: Tensor, batch: Batch, count: int, generator: torch.Generator
) -> tuple[Tensor, Whole]:
    """Return the numbers of the frames to denoise, more often those with much to draw.

    They are drawn among the frames of all ranks; with them comes the whole choice that
    those in this batch are a part of.
    """
    whole, valid_N = batch.whole, batch.valid_BT.flatten()
    chance = (drawn_N.sqrt() + 0.2) * valid_N
    count = min(count, int(whole.sum(valid_N.sum())))
    chosen = torch.multinomial(whole.gather(chance), count, generator=generator)
    return whole.choose(chosen, batch.valid_BT.shape[1])
