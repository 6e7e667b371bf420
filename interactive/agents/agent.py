"""What an agent sees, and what it may propose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from interactive.commands import Command
from interactive.record.ledger import Entry


@dataclass(frozen=True, slots=True)
class History:
    """A run up to now, on its current branch.

    Args:
        branch: the branch.
        step: the last step made.
        lr: the learning rate that the optimizer has; None where nobody has said.
        steps: the steps of the newest losses, in order.
        losses: their values.
        entries: the whole ledger.
        settings: what can be steered, with its present values.
    """

    branch: str
    step: int
    lr: float | None
    steps: Sequence[int]
    losses: Sequence[float]
    entries: Sequence[Entry]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A command and the evidence for it, as the ledger will state it.

    ``command_id`` is one that the agent has written down already; ``if_generation`` has the
    command refused where the run was steered since the agent looked at it.
    """

    command: Command
    reason: str
    command_id: UUID | None = None
    if_generation: int | None = None


class Agent(Protocol):
    """Looks at a run and says what to do; the same history gives the same proposal."""

    def observe(self, history: History) -> Proposal | None:
        """Return a proposal, or None to leave the run alone."""
        ...
