"""What a training loop calls between its steps, whoever answers: a live run or a replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from interactive.trainer import DataLost, StepRecord


@dataclass(frozen=True, slots=True)
class Status:
    """Where a run stands, for the heartbeat.

    ``state`` is recovering, waiting (for data), training, paused or stopped.
    """

    state: str
    step: int
    branch: str
    mark: int
    settings: Mapping[str, Any]


class Steered(Protocol):
    """A loop that makes its own steps, asking before each and telling of each."""

    def cross(self) -> bool:
        """Do what is due before the next step, and return whether there is one."""
        ...

    def record(self, record: StepRecord) -> None:
        """Take what the step that was just made did.

        Raises:
            OSError: it cannot be written; a run without a record does not go on.
        """
        ...

    def lose(self, lost: DataLost) -> None:
        """Take that the step was not made, for want of clips that cannot be read.

        Raises:
            DataLost: the run cannot go on without them.
        """
        ...

    def request_end(self) -> None:
        """End before the next step; safe in a signal handler or a thread."""
        ...

    def status(self) -> Status:
        """Return where the run stands; safe in any thread."""
        ...
