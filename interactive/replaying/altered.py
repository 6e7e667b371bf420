"""Ledgers that never were: without some interventions, or with nothing but their schedule."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from interactive.outcome import CommandState
from interactive.record.branch import MAIN, failed_seqs
from interactive.record.ledger import Entry, EntryKind

NEUTRAL = frozenset({"pause", "resume", "step", "stop", "note", "evaluate", "save_checkpoint"})
"""Commands that leave the numbers of the training as they were."""

RECORDED_SEQ = "recorded_seq"
"""The key under which an entry with a new number keeps the one that the run gave it."""


class UnknownEntry(Exception):
    """A seq was named that is no applied intervention."""

    def __init__(self, seqs: Iterable[int], known: Iterable[int]) -> None:
        """Name the wrong ones and the right ones."""
        named = ", ".join(map(str, seqs))
        super().__init__(f"no intervention was applied at seq {named}")
        self.hint = f"those that were: {', '.join(map(str, known)) or 'none'}."


@dataclass(frozen=True, slots=True)
class Lost:
    """An entry that cannot be brought about any more, and why."""

    seq: int
    why: str


@dataclass(frozen=True, slots=True)
class Altered:
    """A changed ledger: its entries, and what lost its object on the way."""

    entries: list[Entry]
    lost: tuple[Lost, ...] = ()


def applied(entries: Sequence[Entry]) -> list[Entry]:
    """Return the interventions that were applied and did not fail."""
    failed = failed_seqs(entries)
    return [
        entry
        for entry in entries
        if entry.kind is EntryKind.INTERVENTION
        and entry.seq not in failed
        and entry.body["state"] == CommandState.APPLIED.value
    ]


def name_of(entry: Entry) -> str:
    """Return the name of an intervention's command."""
    return str(entry.body["command"]["command"])


def without(entries: Sequence[Entry], dropped: Collection[int], last_step: int) -> Altered:
    """Return the ledger without some interventions: open loop.

    Every other entry keeps its step and its value. Where a branch is not opened, the line
    goes on that it would have left: data that the branch adopted or let go arrive there at
    their steps, what was done on the branch is lost, and a later return to a checkpoint
    that is still made stays. The line ends after ``last_step``.

    Raises:
        UnknownEntry: a seq is no applied intervention.
    """
    known = [entry.seq for entry in applied(entries)]
    unknown = sorted(set(dropped) - set(known))
    if unknown:
        raise UnknownEntry(unknown, known)
    walk = _Walk(set(dropped), frozenset(known))
    for entry in entries:
        walk.take(entry)
    return Altered(ended(walk.kept, walk.branch, max(last_step + 1, walk.step)), tuple(walk.lost))


class _Walk:
    """Goes through a ledger and leaves out what is dropped and what hangs on it."""

    def __init__(self, dropped: set[int], applied_seqs: frozenset[int]) -> None:
        self._dropped = dropped
        self._applied = applied_seqs
        self._stray = False
        """Whether the record is on a branch that was not opened."""
        self._lost_checkpoints: set[str] = set()
        self._is_pause_lost = False
        self._mark = 0
        self.branch = MAIN
        self.step = 1
        self.kept: list[Entry] = []
        self.lost: list[Lost] = []

    def take(self, entry: Entry) -> None:
        if entry.seq in self._dropped:
            self._drop(entry)
        elif entry.seq in self._applied:
            self._intervene(entry)
        elif entry.kind is EntryKind.CHECKPOINT:
            name = str(entry.body["checkpoint"])
            if self._stray:
                self._lost_checkpoints.add(name)
            if name not in self._lost_checkpoints:
                self._keep(entry)
        elif entry.kind is EntryKind.MARK:
            mark = int(entry.body["mark"])
            if mark > self._mark:
                self._mark = mark
                self._keep(entry)
        elif entry.kind is EntryKind.WITHDRAWAL or not self._stray:
            self._keep(entry)

    def _drop(self, entry: Entry) -> None:
        match name_of(entry):
            case "load_checkpoint":
                self._stray = True
            case "save_checkpoint":
                self._lost_checkpoints.add(str(entry.body["effective"]["checkpoint"]))
            case "pause":
                self._is_pause_lost = True
            case _:
                pass

    def _intervene(self, entry: Entry) -> None:
        name = name_of(entry)
        if name == "load_checkpoint":
            self._open_branch(entry)
        elif name in ("resume", "step") and self._is_pause_lost:
            self._is_pause_lost = False
            self.lost.append(Lost(entry.seq, "there is no pause to end"))
        elif self._stray and name not in NEUTRAL:
            self.lost.append(Lost(entry.seq, f"branch {entry.branch} is not opened"))
        elif not self._stray:
            self._keep(entry)

    def _open_branch(self, entry: Entry) -> None:
        effective = entry.body["effective"]
        checkpoint = str(effective["checkpoint"])
        if checkpoint in self._lost_checkpoints:
            self.lost.append(Lost(entry.seq, f"checkpoint {checkpoint} is not made"))
            self._stray = True
            return
        self._keep(entry)
        self._stray = False
        self.branch, self.step = str(effective["branch"]), int(effective["step"]) + 1
        self._mark = int(effective["mark"])

    def _keep(self, entry: Entry) -> None:
        if self._stray:
            entry = replace(entry, branch=self.branch, step=max(entry.step, self.step))
        self.step = entry.step
        self.kept.append(entry)


def ended(entries: Iterable[Entry], branch: str, step: int) -> list[Entry]:
    """Return entries with new numbers, and a stop before ``step`` after them.

    Interventions keep the number that the run gave them, too.
    """
    numbered: list[Entry] = []
    number_of: dict[int, int] = {}
    for entry in entries:
        if entry.kind is EntryKind.FAILURE and entry.body["of"] is not None:
            of = number_of.get(int(entry.body["of"]))
            if of is None:
                continue
            entry = replace(entry, body={**entry.body, "of": of})
        number_of[entry.seq] = len(numbered)
        if entry.seq != len(numbered) and entry.kind is EntryKind.INTERVENTION:
            entry = replace(entry, body={RECORDED_SEQ: entry.seq, **entry.body})
        numbered.append(replace(entry, seq=len(numbered)))
    stop = _intervention({"command": "stop"}, {"running": False}, "the end of what was recorded")
    last = Entry(len(numbered), step, branch, EntryKind.INTERVENTION, 0.0, stop)
    return [*numbered, last]


def intervention_at(step: int, command: dict[str, Any]) -> Entry:
    """Return the entry of a command of a static schedule; its number is given by ``ended``."""
    body = _intervention(command, {}, "part of a static schedule")
    return Entry(-1, step, MAIN, EntryKind.INTERVENTION, 0.0, body)


def _intervention(command: dict[str, Any], effective: dict[str, Any], why: str) -> dict[str, Any]:
    return {
        "command_id": "none",
        "inbox_seq": 0,
        "issuer": {"name": "rerun", "kind": "script"},
        "reason": why,
        "command": command,
        "state": CommandState.APPLIED.value,
        "old": {},
        "requested": {},
        "effective": effective,
    }
