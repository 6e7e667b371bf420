"""The paper's objectives: the recurrent network's guess, and the denoiser's prediction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from neuralos.data.batch import Batch
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState
from neuralos.training.chosen_frames import ChosenFrames, bearing_weights, choose_frames
from neuralos.training.config import ObjectiveConfig
from neuralos.training.loss import Loss
from neuralos.training.micro_batches import split
from neuralos.training.own_frames import lane_generator, with_own_frames
from neuralos.training.stages import Stage
from neuralos.training.trainable import LatentModel

_SAME = 0.05
"""Latents closer than this show the same pixels, but for rounding."""


@dataclass(frozen=True, slots=True)
class _Tracked:
    """A segment as the recurrent network followed it.

    ``weight_BT`` says how much each frame's loss counts, ``weight_BTHW`` each cell's in it.
    """

    context_BTXHW: Tensor
    clean_BTCHW: Tensor
    weight_BT: Tensor
    weight_BTHW: Tensor
    state: SimulatorState

    def guess_error(self) -> Tensor:
        """Return the guess's squared error of each frame (B, T)."""
        guess = self.context_BTXHW[:, :, : self.clean_BTCHW.shape[2]]
        return _weighted((guess.float() - self.clean_BTCHW).square().mean(2), self.weight_BTHW)


@dataclass(frozen=True, slots=True)
class GuessLoss:
    """The recurrent network alone: its guess of each latent (arXiv 2507.08800, section 4)."""

    stage: Stage
    step: int

    def __call__(
        self,
        simulator: Simulator,
        batch: Batch,
        state: SimulatorState,
        config: ObjectiveConfig,
        generator: torch.Generator,
    ) -> Loss:
        """Return the mean squared error of the guesses."""
        model = _model(simulator)
        tracked = _track(model, batch, state, config, generator, self.stage, self.step)
        guess = _mean(tracked.guess_error(), tracked.weight_BT)
        return Loss(guess, {"guess": guess}, tracked.state.detach(), float(tracked.weight_BT.sum()))


@dataclass(frozen=True, slots=True)
class DenoisingLoss:
    """The denoiser's prediction from noisy latents and the contexts (section 3.2).

    Where the recurrent network is frozen, only the denoiser learns; else both do, through
    the contexts. What is drawn for a lane depends on nothing but seed, step and lane.
    """

    stage: Stage
    step: int
    frames_at_once: int

    def __call__(
        self,
        simulator: Simulator,
        batch: Batch,
        state: SimulatorState,
        config: ObjectiveConfig,
        generator: torch.Generator,
    ) -> Loss:
        """Return the mean squared error of clean latent or noise, at random timesteps."""
        model = _model(simulator)
        tracked = _track(model, batch, state, config, generator, self.stage, self.step)
        chosen = choose_frames(
            tracked.weight_BT,
            tracked.weight_BTHW.mean((2, 3)),
            self.stage.denoised,
            tracked.clean_BTCHW.shape[2:],
            batch.lane_B,
            generator,
        )
        error_N = _denoising_errors(model, tracked, chosen, self.frames_at_once)
        parts = {"denoising": (error_N * chosen.share_N).sum() / chosen.share_N.sum()}
        total = config.diffusion * parts["denoising"]
        if self.stage.guess:
            parts["guess"] = _mean(tracked.guess_error(), tracked.weight_BT)
            total = total + self.stage.guess * parts["guess"]
        return Loss(total, parts, tracked.state.detach(), float(tracked.weight_BT.sum()))


def _model(simulator: Simulator) -> LatentModel:
    if not isinstance(simulator, LatentModel):
        raise TypeError(f"this objective trains no {type(simulator).__name__}: it has no unroll")
    return simulator


def _track(
    model: LatentModel,
    batch: Batch,
    state: SimulatorState,
    config: ObjectiveConfig,
    generator: torch.Generator,
    stage: Stage,
    step: int,
) -> _Tracked:
    """Follow a segment, on fed-back frames that are the model's own or noisy where asked."""
    seen = batch
    if own := stage.own_frames_at(step):
        seen = with_own_frames(model, batch, state, own, stage.own_sampler_steps, generator)
    if config.feedback_noise:
        seen = replace(seen, latent_BUCHW=noisy_latents(seen, config.feedback_noise, generator))
    context, after = model.unroll(seen.latent_BUCHW, seen.action_BUA, seen.keys_BTK, state)
    clean, previous = batch.latent_BUCHW[:, 1:], batch.latent_BUCHW[:, :-1]
    is_changed = (clean - previous).abs().amax(2) > _SAME
    weight_BT = bearing_weights(batch.valid_BT, stage.loss_on)
    weight_BTHW = torch.where(is_changed, 1.0, config.still_weight)
    after = replace(after, latent=batch.latent_BUCHW[:, -1])
    return _Tracked(context, clean, weight_BT, weight_BTHW, after)


def noisy_latents(batch: Batch, most: float, generator: torch.Generator) -> Tensor:
    """Return latents with noise of one strength a lane, on about half of the lanes."""
    latent = batch.latent_BUCHW
    noise = torch.zeros(latent.shape)
    for row, lane in enumerate(batch.lane_B.tolist()):
        draws = lane_generator(generator, lane, "feedback")
        strength = (torch.rand((), generator=draws) * 2 - 1).clamp_min(0) * most
        noise[row] = strength * torch.randn(latent.shape[1:], generator=draws)
    return latent + noise.to(latent.device)


def _denoising_errors(
    model: LatentModel, tracked: _Tracked, chosen: ChosenFrames, frames_at_once: int
) -> Tensor:
    """Return the error of each chosen frame (N,)."""
    levels, place = model.noise_table, chosen.place_N
    clean = tracked.clean_BTCHW.flatten(0, 1)[place]
    timestep = (chosen.level_N * levels.timesteps).long().clamp_max(levels.timesteps - 1)
    noisy = levels.add_noise(clean, chosen.noise_NCHW, timestep)
    context = tracked.context_BTXHW.flatten(0, 1)[place]
    wanted = clean if model.prediction == "x0" else chosen.noise_NCHW
    if frames_at_once:
        found = torch.cat(
            [
                checkpoint(model.denoise, noisy[n], timestep[n], context[n], use_reentrant=False)
                for n in split(len(place), -(-len(place) // frames_at_once))
            ]
        )
    else:
        found = model.denoise(noisy, timestep, context)
    error_NHW = (found.float() - wanted).square().mean(1)
    return _weighted(error_NHW, tracked.weight_BTHW.flatten(0, 1)[place])


def _weighted(error: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean over the last two axes."""
    return (error * weight).sum((-2, -1)) / weight.sum((-2, -1)).clamp_min(1e-6)


def _mean(error_BT: Tensor, weight_BT: Tensor) -> Tensor:
    return (error_BT * weight_BT).sum() / weight_BT.sum()
