"""What may be asked of the server beside the run: one strict class per kind of job."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from interactive.commands import COMMAND, Command, Name

MAX_STEPS = 1000


def _from_json(said: Any, inner: ValidatorFunctionWrapHandler) -> Command:
    """Parse a command as the inbox does: strictly, and as JSON, where a list is any sequence."""
    return COMMAND.validate_json(json.dumps(said))


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DryRun(_Request):
    """Try a command on a fork; see ``interactive.replaying.dry_run``."""

    kind: Literal["dry_run"]
    command: Annotated[Command, WrapValidator(_from_json)]
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS, strict=True)] = 20
    checkpoint: Name | None = None


class Replay(_Request):
    """Make every step again and compare it."""

    kind: Literal["replay"]


class Ablate(_Request):
    """Make the run again without some interventions; each by itself if none is named."""

    kind: Literal["ablate"]
    drop: (
        Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=100)] | None
    ) = None
    relative: bool = False
    seeds: Annotated[int, Field(ge=1, le=10)] = 1


class Freeze(_Request):
    """Run the ledger's static schedule."""

    kind: Literal["freeze"]
    seeds: Annotated[int, Field(ge=1, le=10)] = 1


JobRequest = Annotated[DryRun | Replay | Ablate | Freeze, Field(discriminator="kind")]
JOB_REQUEST: TypeAdapter[JobRequest] = TypeAdapter(JobRequest)
FOR_AGENTS = ("dry_run",)
"""What an agent may ask for: it costs little, and changes nothing."""
