"""Which of the commands that wait is due when: kept in the inbox's order, nothing applied."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import Enum

from interactive.outcome import Reason, Rejected
from interactive.record.branch import RunState
from interactive.steering.source import Delivered
from interactive.trainer import ControllableTrainer


class Moment(Enum):
    """When a command is due."""

    NOW = "now"
    LATER = "later"


class Agenda:
    """The commands that have no entry yet.

    Everything is told by the command, the ledger and the step, so that a run taken up again
    decides as the one before would have.

    Args:
        trainer: says which step comes next.
        state: says which branch the run is on, and what has happened there.
    """

    def __init__(self, trainer: ControllableTrainer, state: RunState) -> None:
        self._trainer = trainer
        self._state = state
        self._waiting: list[Delivered] = []

    @property
    def waiting(self) -> tuple[Delivered, ...]:
        """Return the commands in the inbox's order."""
        return tuple(self._waiting)

    def add(self, arrived: Iterable[Delivered]) -> None:
        """Take commands that arrived."""
        self._waiting = sorted([*self._waiting, *arrived], key=lambda delivered: delivered.seq)

    def strike(self, done: Collection[str]) -> None:
        """Let go of the commands with these ids: they have their entries."""
        self._waiting = [other for other in self._waiting if other.command_id not in done]

    def find(self, command_id: str) -> Delivered | None:
        """Return the command that waits under an id, if one does."""
        found = (d for d in self._waiting if d.command_id == command_id)
        return next(found, None)

    def judge(self, delivered: Delivered) -> Moment | Rejected:
        """Say whether a command is due before the next step, later, or never."""
        state, envelope, step = self._state, delivered.envelope, self._trainer.step + 1
        if envelope is None:
            return Rejected(Reason.MALFORMED, delivered.problem)
        if not self._is_on_its_branch(delivered):
            if envelope.branch not in state.branches:
                return Moment.LATER
            hint = f"the run has left branch {envelope.branch}, and is on {state.branch}"
            return Rejected(Reason.STEP_PASSED, hint)
        if envelope.expires_at_step is not None and step > envelope.expires_at_step:
            hint = f"it was good up to step {envelope.expires_at_step}; the next is {step}"
            return Rejected(Reason.EXPIRED, hint)
        if envelope.at_step is not None and envelope.at_step < step:
            return Rejected(Reason.STEP_PASSED, f"the next step is {step}")
        if envelope.at_step is not None and envelope.at_step > step:
            return Moment.LATER
        if envelope.after_evaluation and (state.branch, step - 1) not in state.evaluated:
            return Moment.LATER
        if envelope.if_generation is not None and envelope.if_generation != state.generation:
            return Rejected(Reason.STALE_GENERATION, f"the generation is {state.generation}")
        return Moment.NOW

    def judge_superseding(self, delivered: Delivered) -> Rejected | None:
        """Say why a command can take nothing back any more, where it wants to."""
        if delivered.envelope is None or delivered.envelope.supersedes is None:
            return None
        target, state = str(delivered.envelope.supersedes), self._state
        if target == delivered.command_id:
            return Rejected(Reason.MALFORMED, "a command cannot supersede itself")
        by = state.superseded.get(target)
        if by not in (None, delivered.command_id):
            return Rejected(Reason.SUPERSEDED, f"{target} was superseded by {by}")
        if by is None and target in state.done:
            return Rejected(Reason.SUPERSEDED, f"{target} was already applied or refused")
        return None

    def dues(self) -> list[int]:
        """Return the numbers of updates after which a command must be looked at again.

        Another branch begins by a command, and evaluations are made by commands or by the
        cadence: whoever waits for these need not be counted here.
        """
        step, dues = self._trainer.step, []
        for delivered in self._waiting:
            envelope = delivered.envelope
            if envelope is None:
                return [step]
            if not self._is_on_its_branch(delivered):
                continue
            if envelope.expires_at_step is not None:
                dues.append(envelope.expires_at_step)
            if envelope.at_step is not None:
                dues.append(envelope.at_step - 1)
            elif not envelope.after_evaluation:
                return [step]
        return dues

    def _is_on_its_branch(self, delivered: Delivered) -> bool:
        envelope = delivered.envelope
        return envelope is None or envelope.branch in (None, self._state.branch)
