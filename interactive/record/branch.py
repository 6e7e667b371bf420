"""Where a run stands, as its ledger says: branches, checkpoints, pause, what is done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from interactive.outcome import CommandState
from interactive.record.ledger import Entry, EntryKind

MAIN = "main"
"""The branch that a run begins on."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of steps that continues from a checkpoint (none for the first branch)."""

    name: str
    checkpoint: str | None
    step: int
    """Updates done where the branch begins."""


@dataclass(frozen=True, slots=True)
class CheckpointFact:
    """What the ledger says of a checkpoint; ``step`` is the number of updates done."""

    id: str
    branch: str
    step: int
    kept: bool
    seq: int


@dataclass(slots=True)
class RunState:
    """What the entries so far add up to; the same for a live run, its recovery and a replay."""

    branch: str = MAIN
    branches: dict[str, Branch] = field(default_factory=lambda: {MAIN: Branch(MAIN, None, 0)})
    checkpoints: dict[str, CheckpointFact] = field(default_factory=dict)
    paused: bool = False
    pause_after: int | None = None
    """The updates of the current branch after which it pauses again, if it was told to step."""
    generation: int = 0
    """Interventions that were recorded as applied, those that then failed included."""
    mark: int = 0
    """The mark adopted on the current branch."""
    heeded: int = 0
    """Every withdrawal up to this commit number is in force on the current branch."""
    entries: int = 0
    done: set[str] = field(default_factory=set)
    """Ids of the commands that have their entry."""
    superseded: dict[str, str] = field(default_factory=dict)
    """Ids of commands that another took back, and that one's id."""
    evaluated: set[tuple[str, int]] = field(default_factory=set)
    """The (branch, updates done) at which an evaluation was recorded."""
    fingerprints: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, entries: Iterable[Entry], failed: frozenset[int] = frozenset()) -> RunState:
        """Return what entries add up to; those in ``failed`` had no effect."""
        state = cls()
        for entry in entries:
            state.take(entry, failed=entry.seq in failed)
        return state

    def take(self, entry: Entry, *, failed: bool = False) -> None:
        """Add an entry; one that failed is counted, and has no effect."""
        self.entries += 1
        is_applied = False
        if entry.kind is EntryKind.INTERVENTION:
            self.done.add(str(entry.body["command_id"]))
            is_applied = entry.body["state"] == CommandState.APPLIED.value
            self.generation += is_applied
            self._note_superseded(entry, is_applied)
        if failed:
            return
        match entry.kind:
            case EntryKind.INTERVENTION if is_applied:
                self._intervene(entry)
            case EntryKind.MARK:
                self.mark = int(entry.body["mark"])
                self.heeded = max(self.heeded, self.mark)
            case EntryKind.WITHDRAWAL:
                self.heeded = max(self.heeded, int(entry.body.get("upto", 0)))
            case EntryKind.CHECKPOINT:
                fact = checkpoint_fact(entry)
                self.checkpoints[fact.id] = fact
            case EntryKind.EVALUATION:
                self.evaluated.add((entry.branch, entry.step - 1))
            case EntryKind.SESSION:
                self.fingerprints.append(dict(entry.body["fingerprint"]))
            case _:
                pass

    def is_held(self, step: int) -> bool:
        """Return whether the run is paused after so many updates."""
        return self.paused or (self.pause_after is not None and step >= self.pause_after)

    def free_branch_name(self) -> str:
        """Return the first of b1, b2 … that no branch has."""
        number = 1
        while f"b{number}" in self.branches:
            number += 1
        return f"b{number}"

    def free_checkpoint_id(self, step: int) -> str:
        """Return an id for a checkpoint of the current branch after ``step`` updates."""
        first = f"{self.branch}-{step:06d}"
        name, number = first, 1
        while name in self.checkpoints:
            number += 1
            name = f"{first}.{number}"
        return name

    def parent(self) -> str | None:
        """Return the newest checkpoint on the current line, on which the next one builds."""
        line = [c.id for c in self.checkpoints.values() if c.branch == self.branch]
        return line[-1] if line else self.branches[self.branch].checkpoint

    def bases(self) -> set[str]:
        """Return the ids of the checkpoints that branches continue from."""
        return {b.checkpoint for b in self.branches.values() if b.checkpoint is not None}

    def _note_superseded(self, entry: Entry, is_applied: bool) -> None:
        command_id = str(entry.body["command_id"])
        if entry.body["state"] == CommandState.SUPERSEDED.value:
            self.superseded[command_id] = str(entry.body["superseded_by"])
        elif is_applied and "supersedes" in entry.body:
            self.superseded[str(entry.body["supersedes"])] = command_id

    def _intervene(self, entry: Entry) -> None:
        effective = entry.body["effective"]
        match entry.body["command"]["command"]:
            case "pause":
                self.paused, self.pause_after = True, None
            case "resume" | "stop":
                self.paused, self.pause_after = False, None
            case "step":
                self.paused, self.pause_after = False, int(effective["pause_after"])
            case "load_checkpoint":
                # A run that is held stays so, though the other branch counts other steps.
                self.paused, self.pause_after = self.is_held(entry.step - 1), None
                self.branch = str(effective["branch"])
                self.mark = self.heeded = int(effective["mark"])
                self.branches[self.branch] = Branch(
                    self.branch, str(effective["checkpoint"]), int(effective["step"])
                )


def checkpoint_fact(entry: Entry) -> CheckpointFact:
    """Return what a checkpoint entry states."""
    return CheckpointFact(
        id=str(entry.body["checkpoint"]),
        branch=entry.branch,
        step=entry.step - 1,
        kept=bool(entry.body["kept"]),
        seq=entry.seq,
    )


def failed_seqs(entries: Iterable[Entry]) -> frozenset[int]:
    """Return the seqs of the entries that a later failure entry takes back."""
    failures = (entry.body["of"] for entry in entries if entry.kind is EntryKind.FAILURE)
    return frozenset(int(seq) for seq in failures if seq is not None)


def loaded_checkpoints(entries: Iterable[Entry], failed: frozenset[int]) -> frozenset[str]:
    """Return the ids of the checkpoints from which entries open branches."""
    return frozenset(
        str(entry.body["effective"]["checkpoint"])
        for entry in entries
        if entry.kind is EntryKind.INTERVENTION
        and entry.seq not in failed
        and entry.body["state"] == CommandState.APPLIED.value
        and entry.body["command"]["command"] == "load_checkpoint"
    )
