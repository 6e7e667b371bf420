"""The stages of a training as data: what trains, on which loss, how long, at which rate.

A run names a sequence of stages; which one a step belongs to follows from the configuration,
the step, and what was commanded. Reading this does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches

PARTS = ("autoencoder", "rnn", "denoiser")
"""What a stage may train; ``rnn`` is all that is neither of the other two."""

LATENT_OBJECTIVES = ("gated", "guess", "denoising", "drawing", "distilling")
PIXEL_OBJECTIVES = ("reconstruction", "distillation")
OBJECTIVES = LATENT_OBJECTIVES + PIXEL_OBJECTIVES
"""What a stage may minimise; ``training/objectives.py`` has their functions."""


def _check(name: str, known: Sequence[str], what: str) -> None:
    if name not in known:
        nearest = get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise ValueError(f"{what} {name!r} is unknown; did you mean {nearest!r}?")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage; 0 means: that of ``[lanes]`` or ``[optimizer]``, and no end for ``steps``.

    Where ``loss_on`` is ``last``, only the last frame of a segment bears a loss, as in the
    paper; ``denoised`` is how many frames of each lane the denoiser sees otherwise (0: all).
    ``guess`` weighs the recurrent network's own guess beside the denoiser's loss. In every
    ``own_every``-th step the last ``own_frames`` frames that are fed back are the
    simulator's own, drawn in ``own_sampler_steps``. ``teacher`` is the folder of an imported
    checkpoint whose autoencoder is distilled.
    """

    name: str
    trains: tuple[str, ...] = ("rnn", "denoiser")
    objective: str = "denoising"
    steps: int = 0
    frames: int = 0
    segments: int = 0
    lr: float = 0.0
    warmup_steps: int = 0
    loss_on: str = "every"
    denoised: int = 0
    guess: float = 0.0
    own_frames: int = 0
    own_every: int = 20
    own_sampler_steps: int = 32
    teacher: str = ""

    def __post_init__(self) -> None:
        """Refuse what no stage can be.

        Raises:
            ValueError: a part, an objective or ``loss_on`` is unknown, a number is below 0.
        """
        for part in self.trains:
            _check(part, PARTS, "part")
        _check(self.objective, OBJECTIVES, "objective")
        _check(self.loss_on, ("every", "last"), "loss_on")
        if (self.objective in PIXEL_OBJECTIVES) != ("autoencoder" in self.trains):
            raise ValueError(
                f"stage {self.name!r}: {' and '.join(PIXEL_OBJECTIVES)} train the autoencoder alone"
            )
        if self.teacher and self.objective != "distillation":
            raise ValueError(f"stage {self.name!r}: only distillation has a teacher")
        numbers = (self.steps, self.frames, self.segments, self.warmup_steps, self.own_frames)
        if min(*numbers, self.denoised, self.lr, self.guess) < 0:
            raise ValueError(f"stage {self.name!r}: a number is below 0")
        if min(self.own_every, self.own_sampler_steps) < 1:
            raise ValueError(f"stage {self.name!r}: own_every and own_sampler_steps are at least 1")

    def own_frames_at(self, step: int) -> int:
        """Return how many frames that are fed back are the simulator's own in a step."""
        return self.own_frames if step % self.own_every == 0 else 0


@dataclass(frozen=True, slots=True)
class StageChange:
    """What a run has otherwise than the stage of that name, or a stage of its own."""

    trains: tuple[str, ...] | None = None
    objective: str | None = None
    steps: int | None = None
    frames: int | None = None
    segments: int | None = None
    lr: float | None = None
    warmup_steps: int | None = None
    loss_on: str | None = None
    denoised: int | None = None
    guess: float | None = None
    own_frames: int | None = None
    own_every: int | None = None
    own_sampler_steps: int | None = None
    teacher: str | None = None


_WINDOW = Stage("", segments=1, frames=32, loss_on="last")
"""The paper's: windows that carry nothing over; only the last frame bears a loss."""

_CARRIED = Stage("", frames=32, segments=4, denoised=4, guess=0.1)
"""Ours: segments that carry their state on (truncated back-propagation), loss on every frame."""

_FAST = Stage("", objective="drawing", frames=32, segments=4, denoised=4)

STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        # All parts of a gated simulator at once, until the run ends.
        Stage("segments", objective="gated"),
        # The paper's seven (arXiv 2507.08800, section 4), in its order. That every 20th step
        # has a frame of its own, drawn in 32 steps, and the last one's rate and warm-up are
        # the paper's; lengths and the other rates are for a run to set.
        Stage(
            "autoencoder", ("autoencoder",), "reconstruction", frames=4, segments=1, lr=1e-4,
            steps=100_000, warmup_steps=1000,
        ),
        replace(
            _WINDOW, name="rnn", trains=("rnn",), objective="guess", lr=8e-5, steps=50_000,
            warmup_steps=1000,
        ),
        replace(
            _WINDOW, name="denoiser", trains=("denoiser",), lr=8e-5, steps=20_000,
            warmup_steps=1000,
        ),
        replace(_WINDOW, name="joint", lr=8e-5, steps=100_000, warmup_steps=1000),
        replace(_WINDOW, name="scheduled", lr=8e-5, steps=100_000, own_frames=1),
        replace(_WINDOW, name="long", lr=2e-5, steps=100_000, own_frames=1, frames=64),
        replace(
            _WINDOW, name="continuous", lr=5e-6, warmup_steps=1000, own_frames=1, frames=64,
        ),
        # Ours, for the same simulators.
        replace(
            _CARRIED, name="carried_rnn", trains=("rnn",), objective="guess", lr=2e-4,
            steps=20_000, warmup_steps=1000, guess=1.0,
        ),
        replace(_CARRIED, name="carried", lr=1e-4, steps=50_000, warmup_steps=1000),
        replace(
            _CARRIED, name="rollouts", lr=2e-5, own_frames=8, own_every=4, own_sampler_steps=2,
        ),
        # Those of the architecture ``fast``: its recurrent network and draft, then all,
        # then on its own frames, then fewer steps.
        Stage(
            "fast_rnn", ("rnn",), "drawing", frames=32, segments=4, lr=2e-4, steps=20_000,
            warmup_steps=1000,
        ),
        replace(_FAST, name="fast", lr=1e-4, steps=100_000, warmup_steps=1000),
        replace(_FAST, name="fast_rollouts", lr=5e-5, steps=20_000, own_frames=8, own_every=4),
        replace(_FAST, name="distilled", trains=("denoiser",), objective="distilling", lr=5e-5),
    )
}  # fmt: skip
"""The stages that a run may name; ``[training.stage.NAME]`` changes one, or makes another."""


def stages_of(names: Sequence[str], changes: Mapping[str, StageChange]) -> tuple[Stage, ...]:
    """Return a run's stages in their order.

    Raises:
        ValueError: a name is unknown, occurs twice, or a stage cannot be as it is said.
    """
    if not names or len(set(names)) < len(names):
        raise ValueError(f"stages {list(names)}: at least one, and each of them once")
    for name in changes:
        _check(name, names, "a change of stage")
    return tuple(_changed(name, changes.get(name, StageChange())) for name in names)


def _changed(name: str, change: StageChange) -> Stage:
    said = {
        field.name: value
        for field in fields(change)
        if (value := getattr(change, field.name)) is not None
    }
    if name in STAGES:
        return replace(STAGES[name], **said)
    if not {"trains", "objective"} <= said.keys():
        _check(name, tuple(STAGES), "stage")
    return Stage(name, **said)
