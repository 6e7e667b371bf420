"""The objectives by the names that stages give them."""

from __future__ import annotations

from functools import partial

from neuralos.training.decoder_distillation import distillation_of
from neuralos.training.fast_loss import DrawingLoss
from neuralos.training.latent_loss import DenoisingLoss, GuessLoss
from neuralos.training.loss import Objective, Objectives
from neuralos.training.objective import segment_loss
from neuralos.training.stages import Stage


def _gated(stage: Stage, step: int, frames_at_once: int) -> Objective:
    return segment_loss


OBJECTIVES = Objectives(
    latent={
        "gated": _gated,
        "guess": GuessLoss,
        "denoising": DenoisingLoss,
        "drawing": DrawingLoss,
        "distilling": partial(DrawingLoss, distils=True),
    },
    pixel={"distillation": distillation_of},
)
"""What ``training/stages.py`` names."""
