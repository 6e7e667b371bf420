"""What the trainer says of itself while it lives."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


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
    step: int = Field(default=0, ge=0)
    mark: int = 0
    pid: int = 0
    settings: dict[str, Any] = Field(default_factory=dict)
