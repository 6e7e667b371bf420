"""Numbers of the training's parts. Reading a configuration does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from neuralos.training.stages import Stage, StageChange, stages_of

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class OptimizerConfig:
    """AdamW's numbers; ``lr`` is reached after ``warmup_steps`` and then holds.

    The averaged weights forget with ``ema_decay`` per step, faster at the start.
    """

    lr: float = 3e-3
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.99
    eps: float = 1e-8
    max_grad_norm: float = 1.0
    warmup_steps: int = 40
    ema_decay: float = 0.995


@dataclass(frozen=True, slots=True)
class ObjectiveConfig:
    """Weights of the parts; ``drawn_frames`` is how many frames a step denoises.

    ``feedback_noise`` is the largest standard deviation of the noise on the latents fed
    back, on half of the lanes; ``still_weight`` is the weight of cells that are not drawn,
    ``surprise`` what is added to that of cells which change otherwise than by the cursor's
    coming or going. Up to ``periods`` frames become one in a step of ``fast``, as if recorded
    more slowly.
    """

    fate: float = 1.0
    piece: float = 1.0
    look: float = 1.0
    draft: float = 1.0
    diffusion: float = 1.0
    drawn_frames: int = 10
    feedback_noise: float = 0.15
    still_weight: float = 0.02
    surprise: float = 4.0
    periods: int = 1

    def __post_init__(self) -> None:
        """Refuse less than one frame.

        Raises:
            ValueError: ``periods`` is below 1.
        """
        if self.periods < 1:
            raise ValueError(f"periods is 1 or more, not {self.periods}")


@dataclass(frozen=True, slots=True)
class ReconstructionConfig:
    """Weights in the autoencoder's loss; ``scales`` pictures, each half as large, have edges."""

    edges: float = 1.0
    kl: float = 1e-6
    scales: int = 3


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How training begins and what it keeps.

    ``first_clips`` must be adopted before the first step; the autoencoder is fitted on
    ``fit_clips`` of those, the looks of cells are counted on ``look_clips``; the latents of
    ``cached_clips`` are kept, and in memory the packed frames of ``packed_clips``. ``start``
    names what it begins with: a shipped base, or the folder of a checkpoint; nothing if empty.
    ``stages`` are gone through in order; ``stage`` changes some of them by name.
    ``micro_batches`` are the parts of a batch whose gradients are added up, and
    ``frames_at_once`` how many frames the denoiser sees before it forgets what it computed
    (0: all, and it forgets nothing).
    """

    seed: int = 0
    start: str = ""
    first_clips: int = 24
    fit_clips: int = 120
    look_clips: int = 900
    cached_clips: int = 1600
    packed_clips: int = 20000
    stages: tuple[str, ...] = ("segments",)
    stage: Mapping[str, StageChange] = field(default_factory=dict)
    device: str = "cpu"
    precision: str = "float32"
    micro_batches: int = 1
    frames_at_once: int = 0
    reconstruction: ReconstructionConfig = field(default_factory=ReconstructionConfig)

    def __post_init__(self) -> None:
        """Refuse stages, devices and precisions that there are not.

        Raises:
            ValueError: one of them is unknown, or a number is too small.
        """
        self.plan()
        for name, known in (("device", DEVICES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, not {getattr(self, name)}")
        if self.micro_batches < 1 or self.frames_at_once < 0:
            raise ValueError("micro_batches is at least 1 and frames_at_once at least 0")

    def plan(self) -> tuple[Stage, ...]:
        """Return the stages in order."""
        return stages_of(self.stages, self.stage)


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """The rollout: ``warm_frames`` known frames, then ``frames`` generated ones."""

    warm_frames: int = 16
    frames: int = 64
    columns: int = 12
    seed: int = 9001
