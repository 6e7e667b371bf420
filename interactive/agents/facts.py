"""What a ledger says of a run, as agents ask it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interactive.agents.agent import History
from interactive.outcome import CommandState
from interactive.record.branch import failed_seqs
from interactive.record.ledger import Entry, EntryKind

CHANGES_SCHEDULE = ("scale_schedule", "replace_schedule")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The numbers of an evaluation, on the state before ``step``."""

    seq: int
    step: int
    measures: Mapping[str, float]


def capabilities(entries: Sequence[Entry]) -> Mapping[str, Any]:
    """Return what the newest trainer says that commands may name; {} where it says nothing."""
    for entry in reversed(entries):
        if entry.kind is EntryKind.SESSION:
            found = entry.body.get("capabilities")
            return found if isinstance(found, Mapping) else {}
    return {}


def generation(entries: Sequence[Entry]) -> int:
    """Return how many interventions were recorded as applied, as ``if_generation`` counts."""
    return sum(_is_applied(entry) for entry in entries)


def applied(entries: Sequence[Entry]) -> list[Entry]:
    """Return the interventions that took effect, in order."""
    failed = failed_seqs(entries)
    return [entry for entry in entries if _is_applied(entry) and entry.seq not in failed]


def last_lr_change(history: History) -> int:
    """Return the first step that ran under the present learning rate, or 0.

    Whoever changed it, alone or in a batch; the branch's own changes only.
    """
    for entry in reversed(applied(history.entries)):
        if entry.branch == history.branch and changes_lr(entry.body.get("command", {})):
            return entry.step
    return 0


def changes_lr(command: Mapping[str, Any]) -> bool:
    """Return whether a command, as JSON, changes the learning rate or its schedule."""
    name = command.get("command")
    if name == "batch":
        return any(changes_lr(one) for one in command.get("commands", ()))
    return name in CHANGES_SCHEDULE or (
        name == "update_optimizer" and command.get("lr") is not None
    )


def evaluations(history: History) -> list[Evaluation]:
    """Return the evaluations on the current branch, in order."""
    return [
        Evaluation(entry.seq, entry.step, _numbers(entry.body.get("measures", {})))
        for entry in history.entries
        if entry.kind is EntryKind.EVALUATION and entry.branch == history.branch
    ]


def _numbers(measures: Mapping[str, Any]) -> dict[str, float]:
    """Return the measures that are numbers; NaN and the infinities stand as strings."""
    found = {}
    for name, value in measures.items():
        try:
            found[str(name)] = float(value)
        except (TypeError, ValueError):
            continue
    return found


def _is_applied(entry: Entry) -> bool:
    return (
        entry.kind is EntryKind.INTERVENTION
        and entry.body.get("state") == CommandState.APPLIED.value
    )
