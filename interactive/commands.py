"""What may be asked of a run: one strict class per command, and the envelope around it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]


class _Command(BaseModel):
    """Strict: no unknown field, no silent conversion, finite numbers only."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class UpdateOptimizer(_Command):
    """Set numbers of the optimizer; a new lr detaches the learning-rate schedule."""

    command: Literal["update_optimizer"] = "update_optimizer"
    lr: Positive | None = None
    weight_decay: NonNegative | None = None
    beta1: Beta | None = None
    beta2: Beta | None = None
    eps: Positive | None = None
    max_grad_norm: Positive | None = None

    @model_validator(mode="after")
    def _names_a_change(self) -> UpdateOptimizer:
        if not self.changes():
            raise ValueError("name at least one number to change, such as lr=1e-4")
        return self

    def changes(self) -> dict[str, float]:
        """Return the numbers that this command names."""
        return self.model_dump(exclude={"command"}, exclude_none=True)


class UpdateMixture(_Command):
    """Change what the lanes draw from: weights and recency of the sources, cap per trace."""

    command: Literal["update_mixture"] = "update_mixture"
    weights: dict[Name, NonNegative] | None = None
    half_life_clips: dict[Name, Positive] | None = None
    trace_cap: Annotated[float, Field(gt=0, le=1)] | None = None
    fresh_rows: Annotated[int, Field(ge=0)] | None = None
    live_intake: bool | None = None

    @model_validator(mode="after")
    def _names_a_change(self) -> UpdateMixture:
        if not self.changes():
            raise ValueError("name at least one change, such as weights.live=1.0")
        return self

    def changes(self) -> dict[str, Any]:
        """Return the fields that this command names."""
        return self.model_dump(exclude={"command"}, exclude_none=True)


class Pause(_Command):
    """Hold the run at the next boundary; commands are still served."""

    command: Literal["pause"] = "pause"


class Resume(_Command):
    """Let a paused run go on."""

    command: Literal["resume"] = "resume"


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


Command = Annotated[
    Union[
        UpdateOptimizer,
        UpdateMixture,
        Pause,
        Resume,
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
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command_id: UUID
    command: Command
    reason: Annotated[str, Field(max_length=2000)] = ""
    at_step: Annotated[int, Field(ge=1, strict=True)] | None = None
    expires_at_step: Annotated[int, Field(ge=1, strict=True)] | None = None
    if_generation: Annotated[int, Field(ge=0, strict=True)] | None = None
