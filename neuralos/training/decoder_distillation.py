"""The small autoencoder learns from a large one: the same latents, the same pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from neuralos.checkpoints.folder import load_parts
from neuralos.models.autoencoder import Autoencoder
from neuralos.models.paper.autoencoder import image_of
from neuralos.models.simulator import Simulator
from neuralos.models.small_autoencoder import SmallAutoencoder
from neuralos.training.loss import PixelLoss
from neuralos.training.stages import Stage

_EDGES = 8.0
"""A pixel beside the strongest edge counts so much more than one in a plain area."""

_STRONG = 0.5
"""Images go from -1 to 1; steps of brightness from this on are the strongest."""

_BENDS = 0.05
"""Errors well below this count by their square, those above in proportion."""


@dataclass(frozen=True, slots=True)
class DistillationLoss:
    """Latents like the teacher's, and frames from the teacher's latents.

    Text is small and made of edges, so pixels weigh by the edges around them.
    """

    teacher: Autoencoder

    def __call__(
        self, simulator: Simulator, frames_NYP3: Tensor, generator: torch.Generator
    ) -> PixelLoss:
        """Return the loss on frames of bytes.

        Raises:
            TypeError: the simulator's autoencoder is not the small one.
            ValueError: the teacher's latents have another shape.
        """
        student = simulator.autoencoder
        if not isinstance(student, SmallAutoencoder):
            raise TypeError(f"distillation trains no {type(student).__name__}")
        with torch.no_grad():
            latent_NCHW = self.teacher.encode(frames_NYP3)
        image_N3YP = image_of(frames_NYP3)
        raw_NCHW = student.raw(image_N3YP)
        if raw_NCHW.shape != latent_NCHW.shape:
            taught, found = tuple(latent_NCHW.shape[1:]), tuple(raw_NCHW.shape[1:])
            raise ValueError(f"the teacher's latents are {taught}, not {found}")
        error = student.image_of_raw(latent_NCHW) - image_N3YP
        bent_N3YP = (error.square() + _BENDS**2).sqrt() - _BENDS
        parts = {
            "latents": (raw_NCHW - latent_NCHW).square().mean(),
            "pixels": (bent_N3YP * edge_weight(image_N3YP)).mean(),
        }
        return PixelLoss(parts["latents"] + parts["pixels"], parts, float(len(frames_NYP3)))


def edge_weight(image_N3YP: Tensor) -> Tensor:
    """Return the weight of each pixel (N, 1, Y, P), of mean 1 in each image.

    It counts the largest step of brightness to a pixel beside it, so both sides of an edge weigh.
    """
    grey = image_N3YP.mean(1, keepdim=True)
    across = (grey[..., 1:] - grey[..., :-1]).abs()
    along = (grey[..., 1:, :] - grey[..., :-1, :]).abs()
    steps = torch.maximum(
        torch.maximum(F.pad(across, (0, 1)), F.pad(across, (1, 0))),
        torch.maximum(F.pad(along, (0, 0, 0, 1)), F.pad(along, (0, 0, 1, 0))),
    )
    weight = 1 + _EDGES * steps.clamp_max(_STRONG) / _STRONG
    return weight / weight.mean((2, 3), keepdim=True)


def distillation_of(stage: Stage, step: int) -> DistillationLoss:
    """Return the loss whose teacher is the autoencoder of the checkpoint ``stage.teacher``.

    Raises:
        ValueError: the stage names none.
        CheckpointRefused: that folder is none, or damaged.
    """
    if not stage.teacher:
        raise ValueError(
            f"training.stage.{stage.name}.teacher is to name the folder of an imported checkpoint"
        )
    return DistillationLoss(_teacher(stage.teacher))


@lru_cache(maxsize=1)
def _teacher(folder: str) -> Autoencoder:
    # All steps of a stage ask for the same one.
    parts, _ = load_parts(Path(folder))
    return parts.autoencoder.requires_grad_(False)
