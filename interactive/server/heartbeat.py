"""What the trainer says of itself while it lives."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _is_number(value: Any) -> Any:
    if isinstance(value, (bool, str)):
        raise ValueError("a whole number is needed")
    return value


Count = Annotated[int, Field(ge=0, le=2**62), BeforeValidator(_is_number)]


class RunState(str, Enum):
    """How a run stands."""

    WAITING = "waiting"
    """No trainer yet, or the data do not suffice for a step."""
    RECOVERING = "recovering"
    """Steps that were recorded are made again, and checked, before anything new."""
    TRAINING = "training"
    PAUSED = "paused"
    STOPPED = "stopped"
    LOST = "lost"
    """The trainer has not been heard of for a while."""


class Heartbeat(BaseModel):
    """The body of ``POST /api/heartbeat``: sent about once a second, and at a change."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    state: RunState
    branch: str = "main"
    step: Count = 0
    mark: Count = 0
    pid: Count = 0
    settings: dict[str, Any] = Field(default_factory=dict)
