"""The objective of ``fast``: what becomes of each cell, the draft, and the renderer's drawing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from neuralos.data.batch import Batch
from neuralos.data.thinning import thinned
from neuralos.diffusion.loss import cell_error
from neuralos.diffusion.paths import NoisePath
from neuralos.diffusion.shortcuts import strides_of, two_half_steps
from neuralos.models.fast.renderer import Renderer, RenderHint
from neuralos.models.fast.simulator import DRAW, KEEP, RESTORE, FastSimulator, FastState, Seen
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState
from neuralos.training.chosen_frames import ChosenFrames, bearing_weights, choose_frames
from neuralos.training.config import ObjectiveConfig
from neuralos.training.latent_loss import noisy_latents
from neuralos.training.loss import Loss
from neuralos.training.own_frames import lane_generator
from neuralos.training.stages import Stage

_FATE_CELLS = 16
"""Brings the sum over a frame's cells to the size of the other parts."""

_QUIET = 0.2
"""Frames in which nothing is drawn are chosen by this much, others by the root of their cells."""


@dataclass(frozen=True, slots=True)
class DrawingLoss:
    """The loss on every frame of a segment, or on the last (``stage.loss_on``).

    Fate and draft where the recurrent network trains, the renderer's prediction where the
    denoiser does. ``distils`` adds that one long step leads where two half ones do. Frames
    that are fed back may be the simulator's own, drawn by its own sampler.
    """

    stage: Stage
    step: int
    frames_at_once: int
    distils: bool = False

    def __call__(
        self,
        simulator: Simulator,
        batch: Batch,
        state: SimulatorState,
        config: ObjectiveConfig,
        generator: torch.Generator,
    ) -> Loss:
        """Return the loss; see ``Objective``.

        Raises:
            TypeError: the simulator is of another architecture.
            ValueError: it is to be distilled, and its renderer is told no strides.
        """
        if not isinstance(simulator, FastSimulator) or not isinstance(state, FastState):
            raise TypeError(f"this objective trains no {type(simulator).__name__}")
        if self.distils and not simulator.config.fast.path.shortcuts:
            raise ValueError("distilling needs simulator.fast.path.shortcuts = true")
        batch = thinned(batch, _period(config.periods, generator))
        seen_batch = self._fed_back(simulator, batch, state, config, generator)
        with torch.set_grad_enabled("rnn" in self.stage.trains):
            seen = _observe(simulator, seen_batch, state)
        target = _target(simulator, batch, state)
        weight_BT = bearing_weights(batch.valid_BT, self.stage.loss_on)
        drawn_NHW = _drawn_weights(simulator, target, weight_BT)
        importance_C = simulator.autoencoder.importance()
        parts = {}
        if "rnn" in self.stage.trains:
            if simulator.config.fast.gate:
                parts["fate"] = config.fate * _fate_loss(seen.fate_N3HW, target, weight_BT)
            draft_N = _error(seen.hint.draft, target.clean_NCHW, drawn_NHW, importance_C)
            parts["draft"] = config.draft * draft_N.sum() / weight_BT.sum().clamp_min(1)
        if "denoiser" in self.stage.trains:
            weight_NHW = drawn_NHW + config.still_weight
            drawing = _Drawing(
                simulator.denoiser, seen.hint, target.clean_NCHW, weight_NHW, importance_C
            )
            cells_BT = drawn_NHW.sum((1, 2)).view_as(weight_BT)
            chosen = choose_frames(
                weight_BT,
                cells_BT.sqrt() + _QUIET,
                self.stage.denoised,
                target.clean_NCHW.shape[1:],
                batch.lane_B,
                generator,
            )
            errors = self._drawing_errors(drawing, chosen)
            total = chosen.share_N.sum().clamp_min(1e-6)
            for name, error_N in errors.items():
                parts[name] = config.diffusion * (error_N * chosen.share_N).sum() / total
        after = FastState(
            batch.latent_BUCHW[:, -1], batch.action_BUA[:, -1], seen.carry_BS, target.memory_BCHW
        )
        loss = torch.stack(tuple(parts.values())).sum()
        return Loss(loss, parts, after.detach(), float(weight_BT.sum()))

    def _fed_back(
        self,
        simulator: FastSimulator,
        batch: Batch,
        state: FastState,
        config: ObjectiveConfig,
        generator: torch.Generator,
    ) -> Batch:
        """Return the batch with the latents that are fed back: its own ones, or noisy."""
        if own := self.stage.own_frames_at(self.step):
            batch = _with_own_frames(simulator, batch, state, own, generator)
        if config.feedback_noise:
            noisy = noisy_latents(batch, config.feedback_noise, generator)
            batch = replace(batch, latent_BUCHW=noisy)
        return batch

    def _drawing_errors(self, drawing: _Drawing, chosen: ChosenFrames) -> dict[str, Tensor]:
        """Return the errors of each chosen frame (N,) by the names of their losses."""
        # Denser near 1, where a sampler of few steps spends them.
        level_N = 1 - chosen.level_N.square()
        tasks = {"drawing": (level_N, torch.zeros_like(level_N))}
        if self.distils:
            tasks["distilling"] = strides_of(chosen.level_N, drawing.path.config.finest)
        size = self.frames_at_once or max(1, len(level_N))
        errors = {}
        for name, (level, stride) in tasks.items():
            parts = []
            for which in torch.split(torch.arange(len(level), device=level.device), size):
                given = (which, level[which], stride[which], chosen)
                if self.frames_at_once:
                    parts.append(checkpoint(drawing.errors, *given, use_reentrant=False))
                else:
                    parts.append(drawing.errors(*given))
            errors[name] = torch.cat(parts)
        return errors


@dataclass(frozen=True, slots=True)
class _Target:
    """What was to be found in the N = B·T frames, and the memory after the last."""

    clean_NCHW: Tensor
    fate_NHW: Tensor
    memory_BCHW: Tensor


@dataclass(frozen=True, slots=True)
class _Drawing:
    """The renderer's task: hints, targets, and how much each frame and cell counts."""

    renderer: Renderer
    hint: RenderHint
    clean_NCHW: Tensor
    weight_NHW: Tensor
    importance_C: Tensor

    @property
    def path(self) -> NoisePath:
        """From latents to what the sampler starts from."""
        return self.renderer.path

    def errors(
        self, which_M: Tensor, level_M: Tensor, stride_M: Tensor, chosen: ChosenFrames
    ) -> Tensor:
        """Return the error of some chosen frames (M,) in the steps that begin at ``level``.

        Infinitesimal ones lead to the data, others where two half steps do.
        """
        place, noise = chosen.place_N[which_M], chosen.noise_NCHW[which_M]
        hint, clean = self.hint.rows(place), self.clean_NCHW[place]
        draws = self.renderer.given(hint)
        noisy = self.path.noisy(clean, hint.previous, noise, level_M)
        wanted = clean
        if bool((stride_M > 0).any()):
            wanted = two_half_steps(self.path, draws, noisy, level_M, stride_M)
        found = draws(noisy, level_M, stride_M)
        scale = self.path.scales(level_M).output.view(-1, 1, 1, 1)
        return _error(found / scale, wanted / scale, self.weight_NHW[place], self.importance_C)


def _period(most: int, generator: torch.Generator) -> int:
    """Draw how many frames become one, the same for all lanes."""
    if most == 1:
        return 1
    draws = lane_generator(generator, 0, "period")
    return int(torch.randint(1, most + 1, (), generator=draws))


def _memories(simulator: FastSimulator, batch: Batch, first_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return the memory before each frame (B, T, C, H, W), and that after the last."""
    memory, before = first_BCHW, []
    for t in range(batch.valid_BT.shape[1]):
        before.append(memory)
        memory = simulator.remember(
            memory, batch.latent_BUCHW[:, t + 1], batch.action_BUA[:, t + 1]
        )
    return torch.stack(before, 1), memory


def _observe(simulator: FastSimulator, batch: Batch, state: FastState) -> Seen:
    memory_BTCHW, _ = _memories(simulator, batch, state.memory)
    return simulator.observe(
        batch.latent_BUCHW[:, :-1], memory_BTCHW, batch.action_BUA, batch.keys_BTK, state.carry
    )


def _target(simulator: FastSimulator, batch: Batch, state: FastState) -> _Target:
    """Return what became of each cell, judged by the true frames."""
    memory_BTCHW, last = _memories(simulator, batch, state.memory)
    clean, previous = batch.latent_BUCHW[:, 1:], batch.latent_BUCHW[:, :-1]
    same = simulator.config.fast.same
    kept = (clean - previous).abs().amax(2) < same
    restored = (clean - memory_BTCHW).abs().amax(2) < same
    drawn = torch.full(kept.shape, DRAW, device=kept.device)
    fate = torch.where(kept, KEEP, torch.where(restored, RESTORE, drawn))
    return _Target(clean.flatten(0, 1), fate.flatten(0, 1), last)


def _fate_loss(fate_N3HW: Tensor, target: _Target, weight_BT: Tensor) -> Tensor:
    """The cross entropy summed over cells, doubled where they change, per frame."""
    # One row a cell: on a GPU the form for images has no deterministic algorithm.
    rows, fate = fate_N3HW.permute(0, 2, 3, 1).flatten(0, 2).float(), target.fate_NHW
    loss = F.cross_entropy(rows, fate.flatten(), reduction="none").view_as(fate)
    weight = weight_BT.view(-1, 1, 1) * (1 + (fate != KEEP).float())
    return (loss * weight).sum() / weight_BT.sum().clamp_min(1) / _FATE_CELLS


def _drawn_weights(simulator: FastSimulator, target: _Target, weight_BT: Tensor) -> Tensor:
    """Return the weight of each cell that is drawn, (N, H, W).

    Those of one place in a segment share 1, else what is dragged would outweigh all that
    opens. Without a gate every cell that changes is drawn.
    """
    has_gate = simulator.config.fast.gate
    is_drawn = target.fate_NHW == DRAW if has_gate else target.fate_NHW != KEEP
    drawn_BTHW = is_drawn.view(*weight_BT.shape, *is_drawn.shape[1:])
    drawn_BTHW = drawn_BTHW * (weight_BT > 0)[..., None, None]
    return (drawn_BTHW / drawn_BTHW.sum(1, keepdim=True).clamp_min(1)).flatten(0, 1)


def _error(found: Tensor, wanted: Tensor, weight_NHW: Tensor, importance_C: Tensor) -> Tensor:
    """Return the weighted error of latents (N, C, H, W), (N,)."""
    found, wanted = (one.permute(0, 2, 3, 1) for one in (found.float(), wanted))
    error_NHW = cell_error(found, wanted, importance_C) * weight_NHW
    return error_NHW.sum((1, 2)) / (weight_NHW.sum((1, 2)) + 1)


@torch.no_grad()
def _with_own_frames(
    simulator: FastSimulator,
    batch: Batch,
    state: FastState,
    count: int,
    generator: torch.Generator,
) -> Batch:
    """Return a batch whose last ``count`` frames before the last one are drawn by itself."""
    latent_BUCHW = batch.latent_BUCHW.clone()
    last = latent_BUCHW.shape[1] - 1
    for u in range(1, last):
        given = batch.action_BUA[:, u], batch.keys_BTK[:, u - 1]
        if u < last - count:
            state = simulator.take(state, latent_BUCHW[:, u], *given)
            continue
        noise = torch.stack(
            [
                torch.randn(latent_BUCHW.shape[2:], generator=lane_generator(generator, lane, u))
                for lane in batch.lane_B.tolist()
            ]
        )
        drawn, state = simulator.step(state, *given, noise.to(latent_BUCHW.device))
        latent_BUCHW[:, u] = drawn.to(latent_BUCHW.dtype)
    return replace(batch, latent_BUCHW=latent_BUCHW)
