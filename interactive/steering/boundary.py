"""What happens between two steps: adopt data, serve commands, save, evaluate, hold."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from interactive.commands import Command, Envelope, Evaluate, Resume, SaveCheckpoint, Stop
from interactive.outcome import CommandState, Issuer, IssuerKind, Reason, Rejected
from interactive.record.branch import RunState
from interactive.record.checkpoints import CheckpointLibrary
from interactive.record.ledger import Entry, EntryKind, LedgerWriter
from interactive.record.metrics import MetricsRow, MetricsWriter, json_safe
from interactive.steering.agenda import Agenda, Moment
from interactive.steering.intake import Intake
from interactive.steering.planner import Planner
from interactive.steering.saver import Saver
from interactive.steering.scribe import Scribe, intervention_head
from interactive.steering.source import Delivered, Source
from interactive.steering.steered import Status
from interactive.trainer import ControllableTrainer, DataLost, Plan, StepRecord

_HOLD_S = 0.2
"""How long a held run waits before it looks around again."""

_ITSELF = Issuer("trainer", IssuerKind.SCRIPT)
"""Whose command it is when a run that was left alone goes on."""

_SETTINGS_S = 1.0
"""How old the settings of a heartbeat may be."""

_NEVER = sys.maxsize


@dataclass(frozen=True, slots=True)
class Cadence:
    """What a run does by itself, counted in updates; 0 or None is never."""

    checkpoint_every: int = 0
    evaluate_every: int = 0
    evaluation: str = "rollout"
    keep_checkpoints: int = 3
    end_step: int | None = None
    """The run ends after this many updates, as if it had been told to."""
    resume_alone_s: float | None = None
    """A run that is paused while its server is away goes on by itself after this long."""


class Boundary:
    """The one place that touches the trainer between its steps.

    Every fact is in the ledger, durable, before it takes effect. No command stops the
    training: what cannot be done is refused, and what fails is recorded.

    Args:
        trainer: what is steered.
        state: what the ledger adds up to; kept up to date here.
        ledger: where facts are written.
        metrics: where steps are written.
        checkpoints: where states are saved.
        source: where commands and data come from.
        cadence: what happens by itself.
        clock: wall-clock seconds, written for readers only.
        warn: told in one line of what could not be recorded.
    """

    def __init__(
        self,
        trainer: ControllableTrainer,
        state: RunState,
        *,
        ledger: LedgerWriter,
        metrics: MetricsWriter,
        checkpoints: CheckpointLibrary,
        source: Source,
        cadence: Cadence,
        clock: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        self._trainer = trainer
        self._state = state
        self._metrics = metrics
        self._source = source
        self._cadence = cadence
        self._clock = clock
        self._planner = Planner(trainer, state, checkpoints)
        self._scribe = Scribe(trainer, state, ledger, clock, warn)
        self._saver = Saver(
            trainer, state, self._scribe, ledger, metrics, checkpoints, cadence.keep_checkpoints
        )
        self._agenda = Agenda(trainer, state)
        self._command_head = -1
        self._intake = Intake(trainer, state, self._scribe, source)
        self._due = 0
        self._stopping = False
        self._end_requested = False
        self._mode = "waiting"
        self._settings_due_s = 0.0
        self._settings: Mapping[str, Any] = trainer.settings()

    def cross(self) -> bool:
        """Do what is due before the next step; hold while paused or without data.

        Returns:
            Whether there is a next step: False once the run is told to end.
        """
        return self.is_quiet(self._trainer.step) or self._cross_with_care()

    def is_quiet(self, step: int) -> bool:
        """Return whether nothing is known that is due after ``step`` updates.

        It may be asked before the step is made: several ranks agree on it meanwhile.
        """
        source = self._source
        return (
            step < self._due
            and source.command_head == self._command_head
            and source.data_head == self._intake.head
            and not self._end_requested
            and self._trainer.ready()
        )

    def record(self, record: StepRecord) -> None:
        """Write the row of the step that was just made.

        Raises:
            OSError: it cannot be written; a run without a record does not go on.
        """
        state, wall_s = self._state, self._clock()
        self._metrics.append(
            MetricsRow.of(
                record,
                branch=state.branch,
                mark=state.mark,
                entries=state.entries,
                wall_s=wall_s,
            )
        )
        if wall_s >= self._settings_due_s:
            self._settings = self._trainer.settings()
            self._settings_due_s = wall_s + _SETTINGS_S

    def lose(self, lost: DataLost) -> None:
        """Go on without clips that the step about to be made could not read.

        Raises:
            DataLost: the same clips once more before the same step.
            OSError: it cannot be recorded.
        """
        self._intake.lose(lost)

    def request_end(self) -> None:
        """End at the next boundary with a checkpoint; safe in a signal handler or a thread."""
        self._end_requested = True

    def status(self) -> Status:
        """Return where the run stands; safe in any thread."""
        state = self._state
        return Status(self._mode, self._trainer.step, state.branch, state.mark, self._settings)

    def begin(self, session: Mapping[str, Any]) -> None:
        """Say in the ledger that a session takes the run up."""
        self._state.take(self._scribe.write(EntryKind.SESSION, session))

    def fail(self, entry: Entry, error: Exception) -> None:
        """Record that an entry of an earlier session could not be applied."""
        self._scribe.fail(entry.seq, error)

    def finish(self, entry: Entry, command: Command, given_up: Exception | None) -> None:
        """Carry out what an entry of an earlier session announced and did not get to do.

        Args:
            entry: the intervention.
            command: its command.
            given_up: why it is not tried again, if so.
        """
        try:
            if given_up is not None:
                raise given_up
            self._follow(command)
        except Exception as error:
            self._scribe.fail(entry.seq, error)

    def _cross_with_care(self) -> bool:
        self._save_and_evaluate_by_cadence()
        away_s = math.inf
        while True:
            self._intake.take()
            self._serve()
            if self._stopping or self._end_requested or self._is_at_end():
                self._saver.save_if_changed()
                self._mode = "stopped"
                return False
            is_held = self._state.is_held(self._trainer.step)
            if not is_held and self._trainer.ready():
                break
            self._mode = "paused" if is_held else "waiting"
            self._settings = self._trainer.settings()
            self._source.wait(_HOLD_S)
            if is_held and self._cadence.resume_alone_s is not None:
                away_s = min(away_s, self._source.away_s)
                if self._source.away_s - away_s >= self._cadence.resume_alone_s:
                    self._resume_alone()
        self._mode = "training"
        self._settings = self._trainer.settings()
        self._due = self._next_due()
        return True

    def _is_at_end(self) -> bool:
        end = self._cadence.end_step
        return end is not None and self._trainer.step >= end

    def _next_due(self) -> int:
        """Return the number of updates after which something must be looked at again."""
        step, cadence = self._trainer.step, self._cadence
        if self._scribe.owes:
            return step
        dues = [step // n * n + n for n in (cadence.checkpoint_every, cadence.evaluate_every) if n]
        if cadence.end_step is not None:
            dues.append(cadence.end_step)
        if self._state.pause_after is not None:
            dues.append(self._state.pause_after)
        dues += self._agenda.dues()
        return min(dues, default=_NEVER)

    def _save_and_evaluate_by_cadence(self) -> None:
        step, state, cadence = self._trainer.step, self._state, self._cadence
        if step <= state.branches[state.branch].step:
            return
        if cadence.checkpoint_every and step % cadence.checkpoint_every == 0:
            self._saver.save_by_cadence()
        is_evaluated = (state.branch, step) in state.evaluated
        if cadence.evaluate_every and step % cadence.evaluate_every == 0 and not is_evaluated:
            try:
                self._evaluate(cadence.evaluation)
            except Exception as error:
                self._scribe.fail(None, error)

    def _serve(self) -> None:
        """Bring every command that is due to its entry, in inbox order."""
        self._command_head = self._source.command_head
        self._agenda.add(self._source.commands())
        is_changed = True
        while is_changed and not self._stopping:
            is_changed = False
            for delivered in self._agenda.waiting:
                try:
                    is_done = self._meet(delivered)
                except OSError as error:
                    self._scribe.warn(f"command {delivered.command_id} waits: {error}")
                    return
                if is_done:
                    is_changed = True
                    self._intake.take()
                if self._stopping:
                    break
            self._agenda.strike(self._state.done)

    def _meet(self, delivered: Delivered) -> bool:
        """Return whether a command has its entry now, rather than waiting for its moment.

        Raises:
            OSError: the ledger cannot be written now.
        """
        state, envelope = self._state, delivered.envelope
        if delivered.command_id in state.done:
            return True
        by = state.superseded.get(delivered.command_id)
        if by is not None:
            self._scribe.supersede(delivered, by)
            return True
        judged = self._agenda.judge(delivered)
        if not isinstance(judged, Rejected):
            judged = self._agenda.judge_superseding(delivered) or judged
        if isinstance(judged, Rejected):
            self._scribe.refuse(delivered, judged)
            return True
        assert envelope is not None, "what makes no sense is refused"
        if envelope.supersedes is not None:
            other = self._agenda.find(str(envelope.supersedes))
            if other is not None and other.command_id not in state.done:
                self._scribe.supersede(other, delivered.command_id)
        if judged is Moment.LATER:
            return False
        self._intervene(delivered, envelope.command)
        return True

    def _intervene(self, delivered: Delivered, command: Command) -> None:
        try:
            planned: Plan | Rejected = self._planner.plan(command)
        except Exception as error:
            planned = Rejected(Reason.UNSUPPORTED, f"the trainer cannot plan it: {error!r}")
        if isinstance(planned, Rejected):
            self._scribe.refuse(delivered, planned)
            return
        body = {
            **intervention_head(delivered, CommandState.APPLIED),
            "old": json_safe(planned.old),
            "requested": json_safe(planned.requested),
            "effective": json_safe(planned.effective),
        }
        try:
            entry = self._scribe.write(EntryKind.INTERVENTION, body)
        except (TypeError, ValueError) as error:
            hint = f"the trainer's plan cannot be recorded: {error}"
            self._scribe.refuse(delivered, Rejected(Reason.UNSUPPORTED, hint))
            return
        try:
            planned.apply()
            self._follow(command)
        except Exception as error:
            self._state.take(entry, failed=True)
            self._scribe.fail(entry.seq, error)
        else:
            self._state.take(entry)
        self._intake.look_again()

    def _resume_alone(self) -> None:
        hint = f"paused, and without its server for {self._cadence.resume_alone_s:g} s"
        command_id = uuid5(NAMESPACE_OID, f"resume before entry {self._state.entries}")
        envelope = Envelope(command_id=command_id, command=Resume(), reason=hint)
        try:
            self._intervene(Delivered(0, _ITSELF, str(command_id), envelope), envelope.command)
        except OSError as error:
            self._scribe.warn(f"it stays paused: {error}")

    def _follow(self, command: Command) -> None:
        """Do what a command asks for beyond a change of the trainer."""
        match command:
            case Stop():
                self._stopping = True
            case SaveCheckpoint():
                self._saver.save(kept=True)
            case Evaluate():
                self._evaluate(command.evaluation)
            case _:
                pass

    def _evaluate(self, evaluation: str) -> None:
        result = self._trainer.evaluate(evaluation, self._state.branch)
        body = {
            "evaluation": evaluation,
            "measures": json_safe(result.measures),
            "picture": result.picture,
        }
        self._state.take(self._scribe.write(EntryKind.EVALUATION, body))
