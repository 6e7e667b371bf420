"""What may be asked of a run: one strict class per command, and the envelope around it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._/-]{0,126}$")]
"""A name that others chose: a module's path, a setting, a learning-rate schedule."""
Scalar = bool | int | float | Annotated[str, Field(max_length=200)]


class _Command(BaseModel):
    """Strict: no unknown field, no silent conversion, finite numbers only."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class UpdateOptimizer(_Command):
    """Set numbers of the optimizer; a new lr detaches the learning-rate schedule.

    ``group`` limits the change to one parameter group, by its index or its name.
    """

    command: Literal["update_optimizer"] = "update_optimizer"
    lr: Positive | None = None
    weight_decay: NonNegative | None = None
    beta1: Beta | None = None
    beta2: Beta | None = None
    eps: Positive | None = None
    momentum: Beta | None = None
    max_grad_norm: Positive | None = None
    group: Annotated[int, Field(ge=0, lt=10_000)] | Word | None = None

    @model_validator(mode="after")
    def _names_a_change(self) -> UpdateOptimizer:
        if not self.changes():
            raise ValueError("name at least one number to change, such as lr=1e-4")
        return self

    def changes(self) -> dict[str, float]:
        """Return the numbers that this command names."""
        return self.model_dump(exclude={"command", "group"}, exclude_none=True)


class ScaleSchedule(_Command):
    """Multiply what the learning-rate schedule gives, from here on; the schedule stays attached."""

    command: Literal["scale_schedule"] = "scale_schedule"
    factor: Positive


class ReplaceSchedule(_Command):
    """Begin a new learning-rate schedule here, counted from the next step.

    ``schedule`` is a name that the trainer offers; ``lr`` the base rate, the present one if
    left out; ``arguments`` are the schedule's own, such as ``num_training_steps``.
    """

    command: Literal["replace_schedule"] = "replace_schedule"
    schedule: Word
    lr: Positive | None = None
    arguments: Annotated[
        dict[Word, Scalar | Annotated[list[int | float], Field(max_length=1000)]],
        Field(max_length=32),
    ] = Field(default_factory=dict)


class UpdateMixture(_Command):
    """Change what the lanes draw from: weights and recency of the sources, cap per trace.

    ``drop`` names sources that nothing is drawn from any more: their passages end at once.
    """

    command: Literal["update_mixture"] = "update_mixture"
    weights: dict[Name, NonNegative] | None = None
    half_life_clips: dict[Name, Positive] | None = None
    trace_cap: Annotated[float, Field(gt=0, le=1)] | None = None
    fresh_rows: Annotated[int, Field(ge=0)] | None = None
    live_intake: bool | None = None
    drop: Annotated[list[Name], Field(min_length=1, max_length=64)] | None = None

    @model_validator(mode="after")
    def _names_a_change(self) -> UpdateMixture:
        if not self.changes():
            raise ValueError("name at least one change, such as weights.live=1.0")
        return self

    def changes(self) -> dict[str, Any]:
        """Return the fields that this command names."""
        return self.model_dump(exclude={"command"}, exclude_none=True)


class UpdateDataset(_Command):
    """Attach or detach a data set that the trainer registered, or set parameters of one."""

    command: Literal["update_dataset"] = "update_dataset"
    attach: Name | None = None
    detach: Name | None = None
    dataset: Name | None = None
    parameters: Annotated[dict[Word, Scalar], Field(max_length=32)] | None = None

    @model_validator(mode="after")
    def _names_a_change(self) -> UpdateDataset:
        if self.attach is None and self.detach is None and not self.parameters:
            raise ValueError("name a data set to attach or detach, or parameters to change")
        return self

    def changes(self) -> dict[str, Any]:
        """Return the fields that this command names."""
        return self.model_dump(exclude={"command"}, exclude_none=True)


class UpdateSetting(_Command):
    """Set a number, a flag or a choice that the trainer registered."""

    command: Literal["update_setting"] = "update_setting"
    setting: Word
    value: Scalar


class ModuleOperation(_Command):
    """Carry out a registered operation, such as ``reset_parameters``, on a named module."""

    command: Literal["module_operation"] = "module_operation"
    operation: Name
    module: Word


class Pause(_Command):
    """Hold the run at the next boundary; commands are still served."""

    command: Literal["pause"] = "pause"


class Resume(_Command):
    """Let a paused run go on."""

    command: Literal["resume"] = "resume"


class Step(_Command):
    """Run so many steps, then pause again."""

    command: Literal["step"] = "step"
    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class Stop(_Command):
    """Save a checkpoint and end the run; a later start continues it."""

    command: Literal["stop"] = "stop"


class Evaluate(_Command):
    """Run an evaluation now."""

    command: Literal["evaluate"] = "evaluate"
    evaluation: Name = "rollout"


class SaveCheckpoint(_Command):
    """Save a checkpoint that is kept until it is deleted by hand."""

    command: Literal["save_checkpoint"] = "save_checkpoint"


class LoadCheckpoint(_Command):
    """Open a branch that continues from a checkpoint."""

    command: Literal["load_checkpoint"] = "load_checkpoint"
    checkpoint: Name
    branch: Name | None = None


class Note(_Command):
    """Write a remark into the ledger."""

    command: Literal["note"] = "note"
    text: Annotated[str, Field(min_length=1, max_length=4000)]


TrainerCommand = (
    UpdateOptimizer
    | ScaleSchedule
    | ReplaceSchedule
    | UpdateMixture
    | UpdateDataset
    | UpdateSetting
    | ModuleOperation
)
"""What the trainer itself plans and applies."""


class Batch(_Command):
    """Several changes of the trainer before the same step: all of them, or none."""

    command: Literal["batch"] = "batch"
    commands: Annotated[
        tuple[Annotated[TrainerCommand, Field(discriminator="command")], ...],
        Field(min_length=1, max_length=16, strict=False),  # JSON that was read has lists
    ]


Command = Annotated[
    Union[
        UpdateOptimizer,
        ScaleSchedule,
        ReplaceSchedule,
        UpdateMixture,
        UpdateDataset,
        UpdateSetting,
        ModuleOperation,
        Batch,
        Pause,
        Resume,
        Step,
        Stop,
        Evaluate,
        SaveCheckpoint,
        LoadCheckpoint,
        Note,
    ],
    Field(discriminator="command"),
]

COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
"""Parses one command from JSON or a dict."""


class Envelope(BaseModel):
    """A command with what its sender says about it; the issuer comes from the token.

    ``command_id`` is made by the client (a UUID, version 7 preferred): the same id with
    the same body gets the first answer again, with another body a conflict.
    ``if_generation`` refuses the command unless that many interventions have been applied.
    It is applied before the next step, or before ``at_step``, or right after the next
    evaluation (``after_evaluation``). Before the run is on ``branch`` it waits.
    ``supersedes`` takes back a command that still waits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command_id: UUID
    command: Command
    reason: Annotated[str, Field(max_length=2000)] = ""
    at_step: Annotated[int, Field(ge=1, strict=True)] | None = None
    after_evaluation: Annotated[bool, Field(strict=True)] = False
    branch: Name | None = None
    supersedes: UUID | None = None
    expires_at_step: Annotated[int, Field(ge=1, strict=True)] | None = None
    if_generation: Annotated[int, Field(ge=0, strict=True)] | None = None

    @model_validator(mode="after")
    def _has_one_moment(self) -> Envelope:
        if self.at_step is not None and self.after_evaluation:
            raise ValueError("name at_step or after_evaluation, not both")
        return self
