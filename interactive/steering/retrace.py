"""Makes the steps of a run again from its ledger, and compares each with its record."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

from interactive.commands import COMMAND, Command
from interactive.outcome import CommandState, Rejected
from interactive.record.branch import RunState, failed_seqs
from interactive.record.ledger import Entry, EntryKind
from interactive.record.metrics import COMPARED, MetricsRow, float_bits, json_safe
from interactive.steering.planner import Planner
from interactive.trainer import ControllableTrainer, DataRow, Plan, StepRecord

Steps = Generator[None, StepRecord, None]
"""Yields whenever a step is to be made, and is sent what it did."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where something made again was not what had been recorded."""

    branch: str
    step: int
    field: str
    recorded: Any
    replayed: Any

    def __str__(self) -> str:
        """Return it in one line."""
        return (
            f"step {self.step} of branch {self.branch}: {self.field} was recorded as "
            f"{self.recorded!r}, and is {self.replayed!r} now"
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "branch": self.branch,
            "step": self.step,
            "field": self.field,
            "recorded": json_safe(self.recorded),
            "replayed": json_safe(self.replayed),
        }


class DataRows(Protocol):
    """The rows of the clips that marks refer to."""

    def rows(self, after: int, upto: int) -> Sequence[DataRow]:
        """Return the rows with ``after`` < commit ≤ ``upto``."""
        ...


class Witness(Protocol):
    """Sees what a retrace makes; recovery and replay do different things with it."""

    def step_made(self, row: MetricsRow, recorded: MetricsRow | None) -> None:
        """See a step, and its record if there is one at this place of the file."""
        ...

    def diverged(self, divergence: Divergence) -> None:
        """See a difference; raising ends the retrace."""
        ...

    def checkpoint_passed(self, entry: Entry) -> None:
        """See the moment of a checkpoint entry, with the trainer in its state."""
        ...

    def not_applied(self, entry: Entry, error: Exception) -> None:
        """See that the last entry could not be applied; raising ends the retrace."""
        ...


class LostTrack(Exception):
    """The ledger asks for what cannot be reached from here; the witness has been told."""


class Retrace:
    """Applies entries at their steps and makes the steps between them.

    Whoever calls decides which entries: all of them (replay), those after a checkpoint
    (recovery), or a changed list.

    Args:
        trainer: fresh, or loaded from the checkpoint that ``state`` stands at.
        state: what the entries before add up to; kept up to date here.
        planner: turns commands into plans.
        data: the rows of marks.
        witness: sees steps and differences.
        clock: wall-clock seconds, for the rows.
        adapt: says what an entry's command is to be here; None passes it over. The
            command as it was recorded if not given.
    """

    def __init__(
        self,
        trainer: ControllableTrainer,
        state: RunState,
        planner: Planner,
        data: DataRows,
        witness: Witness,
        clock: Callable[[], float],
        adapt: Callable[[Entry, Command], Command | None] = lambda entry, command: command,
    ) -> None:
        self._adapt = adapt
        self._trainer = trainer
        self._state = state
        self._planner = planner
        self._data = data
        self._witness = witness
        self._clock = clock
        self._records: Iterator[MetricsRow] = iter(())
        self._record: MetricsRow | None = None

    def steps(self, entries: Sequence[Entry], records: Iterable[MetricsRow]) -> Steps:
        """Go through the entries, then on to the last record.

        Args:
            entries: the facts to bring about, in ledger order.
            records: the rows to compare with, in file order.

        Yields:
            whenever the trainer is to make a step; what that did is sent back.

        Raises:
            LostTrack: an entry or a record is out of reach.
        """
        failed = failed_seqs(entries)
        self._records = iter(records)
        self._record = next(self._records, None)
        ordered = by_step(entries)
        for number, entry in enumerate(ordered):
            while entry.branch == self._state.branch and self._next_step < entry.step:
                self._check_reach()
                self._take_step((yield))
            if (entry.branch, entry.step) != (self._state.branch, self._next_step):
                self._lose_track(entry)
            is_last = number == len(ordered) - 1 and self._record is None
            self._apply(entry, is_failed=entry.seq in failed, is_last=is_last)
        while self._record is not None:
            self._check_reach()
            self._take_step((yield))

    @property
    def _next_step(self) -> int:
        return self._trainer.step + 1

    def _check_reach(self) -> None:
        step, recorded = self._next_step, self._record
        if recorded is not None and (recorded.branch, recorded.step) != (self._state.branch, step):
            self._stray(recorded)
        if not self._trainer.ready():
            self._witness.diverged(Divergence(self._state.branch, step, "ready", True, False))
            raise LostTrack(f"step {step} of branch {self._state.branch} lacks data")

    def _take_step(self, made: StepRecord) -> None:
        recorded = self._record
        row = MetricsRow.of(
            made,
            branch=self._state.branch,
            mark=self._state.mark,
            entries=self._state.entries,
            wall_s=self._clock(),
        )
        self._witness.step_made(row, recorded)
        if recorded is not None:
            difference = compare_rows(recorded, row)
            if difference is not None:
                self._witness.diverged(difference)
        self._record = next(self._records, None)

    def _apply(self, entry: Entry, *, is_failed: bool, is_last: bool) -> None:
        act: Callable[[], None] | None = None
        if not is_failed:
            match entry.kind:
                case EntryKind.MARK:
                    act = self._adoption(entry)
                case EntryKind.WITHDRAWAL:
                    act = self._withdrawal(entry)
                case EntryKind.INTERVENTION if entry.body["state"] == CommandState.APPLIED.value:
                    act = self._plan(entry).apply
                case EntryKind.CHECKPOINT:
                    self._compare(entry, "digest", entry.body["digest"], self._trainer.digest())
                    self._witness.checkpoint_passed(entry)
                case _:
                    pass
        if act is not None:
            try:
                act()
            except Exception as error:
                # Before a crash, nobody had learned yet whether the last entry could be applied.
                if not is_last:
                    raise
                self._state.take(entry, failed=True)
                self._witness.not_applied(entry, error)
                return
        self._state.take(entry, failed=is_failed)

    def _adoption(self, entry: Entry) -> Callable[[], None]:
        mark = int(entry.body["mark"])
        try:
            rows = self._data.rows(self._state.mark, mark)
        except LookupError as error:
            self._compare(entry, "mark", mark, str(error))
            raise LostTrack(str(error)) from error
        return lambda: self._trainer.adopt(mark, rows)

    def _withdrawal(self, entry: Entry) -> Callable[[], None]:
        commits = [int(commit) for commit in entry.body["withdrawn"]]
        return lambda: self._trainer.withdraw(commits)

    def _plan(self, entry: Entry) -> Plan:
        recorded = COMMAND.validate_json(json.dumps(entry.body["command"]))
        command = self._adapt(entry, recorded)
        if command is None:
            return Plan({}, {}, {}, apply=lambda: None)
        planned = self._planner.plan(command)
        if isinstance(planned, Rejected):
            self._compare(entry, "state", "applied", f"rejected: {planned.hint}")
            raise LostTrack(f"entry {entry.seq} is refused now: {planned.hint}")
        self._compare(entry, "old", entry.body["old"], json_safe(planned.old))
        self._compare(entry, "effective", entry.body["effective"], json_safe(planned.effective))
        return planned

    def _compare(self, entry: Entry, field: str, recorded: Any, replayed: Any) -> None:
        if recorded != replayed:
            self._witness.diverged(Divergence(entry.branch, entry.step, field, recorded, replayed))

    def _lose_track(self, entry: Entry) -> None:
        """An entry is behind us or on another branch: name the first place that shows it."""
        here = (self._state.branch, self._next_step)
        if self._record is not None and (self._record.branch, self._record.step) != here:
            self._stray(self._record)
        reached = f"{here[0]}:{here[1]}"
        self._witness.diverged(
            Divergence(entry.branch, entry.step, f"entry {entry.seq}", entry.kind.value, reached)
        )
        raise LostTrack(f"entry {entry.seq} cannot be reached from {reached}")

    def _stray(self, recorded: MetricsRow) -> None:
        """The next record is of another place: name the step at which the lines part."""
        branch, step = self._state.branch, self._next_step
        if recorded.branch == branch:
            there = Divergence(branch, min(step, recorded.step), "step", recorded.step, step)
        else:
            there = Divergence(branch, step, "branch", recorded.branch, branch)
        self._witness.diverged(there)
        raise LostTrack(str(there))


def drive(steps: Steps, train_step: Callable[[], StepRecord]) -> None:
    """Make the steps that are asked for, to the end, and close."""
    is_open = next_step(steps, None)
    try:
        while is_open:
            is_open = next_step(steps, train_step())
    finally:
        steps.close()


def next_step(steps: Steps, made: StepRecord | None) -> bool:
    """Send what a step did (None before the first), and return whether another is asked for."""
    try:
        if made is None:
            next(steps)
        else:
            steps.send(made)
    except StopIteration:
        return False
    return True


def compare_rows(recorded: MetricsRow, made: MetricsRow) -> Divergence | None:
    """Return the first difference that counts, or None."""
    for field in COMPARED:
        old, new = getattr(recorded, field), getattr(made, field)
        is_equal = float_bits(old) == float_bits(new) if field == "lr" else old == new
        if not is_equal:
            return Divergence(recorded.branch, recorded.step, field, old, new)
    return None


def by_step(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries so that each stretch on one branch is in the order of steps.

    A run's own ledger is in that order; one that was exported and changed need not be.
    """
    ordered: list[Entry] = []
    for _, stretch in groupby(entries, key=lambda entry: entry.branch):
        ordered += sorted(stretch, key=lambda entry: entry.step)
    return ordered
