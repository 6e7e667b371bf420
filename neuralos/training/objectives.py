"""The objectives by the names that stages give them."""

from __future__ import annotations

from neuralos.training.config import TrainingConfig
from neuralos.training.decoder_distillation import distillation_of
from neuralos.training.fast_loss import DrawingLoss
from neuralos.training.latent_loss import DenoisingLoss, GuessLoss
from neuralos.training.loss import Objective, Objectives, PixelObjective
from neuralos.training.objective import segment_loss
from neuralos.training.reconstruction import ReconstructionLoss
from neuralos.training.stages import Stage


def _gated(stage: Stage, step: int, config: TrainingConfig) -> Objective:
    return segment_loss


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
        "gated": _gated,
        "guess": _guess,
        "denoising": _denoising,
        "drawing": _drawing,
        "distilling": _distilling,
    },
    pixel={"reconstruction": _reconstruction, "distillation": _distillation},
)
"""What ``training/stages.py`` names."""
