"""What a prompt is: a question about a run, and the reading of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from interactive.agents.agent import History, Proposal
from interactive.agents.model import Question


@dataclass(frozen=True, slots=True)
class Decision:
    """What a model decided.

    ``invalid`` are actions that are no command, as {code, hint, said}; ``dropped`` counts
    those over the limit of a round.
    """

    actions: tuple[Proposal, ...] = ()
    invalid: tuple[Mapping[str, str], ...] = ()
    dropped: int = 0
    reflection: str = ""
    plan: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An answer that decides nothing."""

    code: str
    hint: str


@dataclass(frozen=True, slots=True)
class PastRound:
    """A round as the journal tells it, with what became of its actions."""

    number: int
    step: int
    loss: float | None
    plan: str
    reflection: str
    outcome: str
    actions: Sequence[Mapping[str, Any]]


class Prompt(Protocol):
    """Asks, and reads what comes back."""

    def ask(self, history: History, past: Sequence[PastRound]) -> Question:
        """Return the question about a run."""
        ...

    def read(self, said: Any, history: History) -> Decision | Unreadable:
        """Return what an answer (JSON) decides."""
        ...
