"""The objectives by the names that stages give them."""

from __future__ import annotations

import torch

from neuralos.data.batch import Batch
from neuralos.models.collage import CollageSimulator
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState
from neuralos.training.collage_loss import collage_loss
from neuralos.training.config import ObjectiveConfig, TrainingConfig
from neuralos.training.decoder_distillation import distillation_of
from neuralos.training.fast_loss import DrawingLoss
from neuralos.training.latent_loss import DenoisingLoss, GuessLoss
from neuralos.training.loss import Loss, Objective, Objectives, PixelObjective
from neuralos.training.objective import segment_loss
from neuralos.training.reconstruction import ReconstructionLoss
from neuralos.training.stages import Stage


def _all_parts(stage: Stage, step: int, config: TrainingConfig) -> Objective:
    return _loss_of_all


def _loss_of_all(
    simulator: Simulator,
    batch: Batch,
    state: SimulatorState,
    config: ObjectiveConfig,
    generator: torch.Generator,
) -> Loss:
    minimised = collage_loss if isinstance(simulator, CollageSimulator) else segment_loss
    return minimised(simulator, batch, state, config, generator)


def _guess(stage: Stage, step: int, config: TrainingConfig) -> Objective:
    return GuessLoss(stage, step)


def _denoising(stage: Stage, step: int, config: TrainingConfig) -> Objective:
    return DenoisingLoss(stage, step, config.frames_at_once)


def _drawing(stage: Stage, step: int, config: TrainingConfig) -> Objective:
    return DrawingLoss(stage, step, config.frames_at_once)


def _distilling(stage: Stage, step: int, config: TrainingConfig) -> Objective:
    return DrawingLoss(stage, step, config.frames_at_once, distils=True)


def _reconstruction(stage: Stage, step: int, config: TrainingConfig) -> PixelObjective:
    return ReconstructionLoss(config.reconstruction)


def _distillation(stage: Stage, step: int, config: TrainingConfig) -> PixelObjective:
    return distillation_of(stage, step)


OBJECTIVES = Objectives(
    latent={
        "gated": _all_parts,
        "guess": _guess,
        "denoising": _denoising,
        "drawing": _drawing,
        "distilling": _distilling,
    },
    pixel={"reconstruction": _reconstruction, "distillation": _distillation},
)
"""What ``training/stages.py`` names."""
