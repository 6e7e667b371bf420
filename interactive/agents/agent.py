"""What an agent sees, and what it may propose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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
    """

    branch: str
    step: int
    lr: float | None
    steps: Sequence[int]
    losses: Sequence[float]
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A command and the evidence for it, as the ledger will state it."""

    command: Command
    reason: str


class Agent(Protocol):
    """Looks at a run and says what to do; the same history gives the same proposal."""

    def observe(self, history: History) -> Proposal | None:
        """Return a proposal, or None to leave the run alone."""
        ...
