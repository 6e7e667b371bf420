"""Makes the recorded steps after a checkpoint again, and insists that they are as they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from interactive.commands import COMMAND, Command, Evaluate, SaveCheckpoint
from interactive.outcome import CommandState
from interactive.record.branch import RunState, failed_seqs
from interactive.record.checkpoints import CheckpointLibrary, Manifest
from interactive.record.data_log import DataLog
from interactive.record.ledger import Entry, EntryKind, LedgerWriter
from interactive.record.metrics import MetricsRow, MetricsWriter, read_metrics
from interactive.record.run_folder import RunFolder
from interactive.steering.planner import Planner
from interactive.steering.retrace import Divergence, Retrace, Steps
from interactive.steering.saver import manifest_of
from interactive.trainer import ControllableTrainer


class Diverged(Exception):
    """A redone step is not what had been recorded: history is not rewritten."""

    def __init__(self, divergence: Divergence) -> None:
        """Store what differed, and say so in one line."""
        super().__init__(str(divergence))
        self.divergence = divergence


class Interrupted(Exception):
    """What a command asked for was cut short twice, and is not tried again."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How a run was taken up.

    ``base`` is the checkpoint it went on from; ``deviation`` is the first difference from
    the record, which is borne only where the fingerprint is another.
    """

    base: str | None
    redone_steps: int
    is_same_fingerprint: bool
    deviation: Divergence | None


@dataclass(frozen=True, slots=True)
class Files:
    """What the trainer process writes."""

    folder: RunFolder
    ledger: LedgerWriter
    metrics: MetricsWriter
    data: DataLog
    checkpoints: CheckpointLibrary


class Redo:
    """Brings a fresh trainer to where the record ends, and insists that it was so.

    It is the witness of its own retrace: steps whose rows were lost are written again,
    checkpoints that are not whole are made again, and a difference ends it.
    """

    def __init__(
        self,
        trainer: ControllableTrainer,
        files: Files,
        base: Manifest | None,
        clock: Callable[[], float],
    ) -> None:
        """Store a trainer that stands at the base, or is fresh where there is none."""
        self._trainer = trainer
        self._files = files
        self._base = base
        self._clock = clock
        entries, offset = files.ledger.entries, base.ledger_entries if base else 0
        self._entries: Sequence[Entry] = entries[offset:]
        self.state = RunState.of(entries[:offset], failed_seqs(entries))
        seen = self.state.fingerprints[-1:] + [
            dict(e.body["fingerprint"]) for e in self._entries if e.kind is EntryKind.SESSION
        ]
        fingerprint = dict(trainer.fingerprint())
        self._is_same_fingerprint = all(other == fingerprint for other in seen)
        self._steps = 0
        self._last_row: MetricsRow | None = None
        self._deviation: Divergence | None = None
        self.failure: tuple[Entry, Exception] | None = None

    def steps(self) -> Steps:
        """Redo what the record holds after the base.

        Yields:
            whenever the trainer is to make a step; what that did is sent back.

        Raises:
            Diverged: a step is not what had been recorded.
        """
        # Read whole, because rows that were lost are appended to the same file.
        first = self._base.metrics_rows if self._base else 0
        records = list(read_metrics(self._files.folder.metrics, after=first))
        planner = Planner(self._trainer, self.state, self._files.checkpoints)
        retrace = Retrace(self._trainer, self.state, planner, self._files.data, self, self._clock)
        yield from retrace.steps(self._entries, records)

    def recovery(self) -> Recovery:
        """Return how the run was taken up, once all is redone."""
        return Recovery(
            base=self._base.id if self._base else None,
            redone_steps=self._steps,
            is_same_fingerprint=self._is_same_fingerprint,
            deviation=self._deviation,
        )

    def step_made(self, row: MetricsRow, recorded: MetricsRow | None) -> None:
        """Write the row again where the record has lost it."""
        self._steps += 1
        self._last_row = row
        if recorded is None:
            self._files.metrics.append(row)

    def diverged(self, divergence: Divergence) -> None:
        """Refuse to go on, unless the machine is another."""
        if self._is_same_fingerprint:
            raise Diverged(divergence)
        self._deviation = self._deviation or divergence

    def checkpoint_passed(self, entry: Entry) -> None:
        """Make a checkpoint again that is announced and not whole."""
        checkpoint = str(entry.body["checkpoint"])
        if self._files.checkpoints.is_whole(checkpoint):
            return
        manifest = manifest_of(
            entry,
            mark=self.state.mark,
            metrics_rows=(self._base.metrics_rows if self._base else 0) + self._steps,
            parent=self.state.parent(),
        )
        self._files.metrics.sync()
        self._files.checkpoints.publish(manifest, self._trainer.save)

    def not_applied(self, entry: Entry, error: Exception) -> None:
        """Keep the failure of the last entry, to be recorded once the run is live."""
        self.failure = (entry, error)

    def unfinished(self) -> tuple[Entry, Command, Exception | None] | None:
        """Return the command that the last session announced and did not get to do.

        The second time it is given up, lest a command that kills its process does so for ever.
        """
        sessions = 0
        for entry in reversed(self._files.ledger.entries):
            if entry.kind is EntryKind.SESSION:
                sessions += 1
                continue
            is_over = self._last_row is not None and self._last_row.entries > entry.seq
            is_applied = entry.kind is EntryKind.INTERVENTION and (
                entry.body["state"] == CommandState.APPLIED.value
            )
            if is_over or not is_applied:
                return None
            command = COMMAND.validate_python(entry.body["command"])
            if not isinstance(command, (Evaluate, SaveCheckpoint)):
                return None
            given_up = Interrupted("it was cut short twice: send it again") if sessions else None
            return entry, command, given_up
        return None
