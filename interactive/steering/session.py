"""Takes a run up where it was left: redone and checked first, and then live."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from filelock import FileLock, Timeout

from interactive.commands import COMMAND, Command, Evaluate, SaveCheckpoint
from interactive.outcome import CommandState
from interactive.record.bases import Past
from interactive.record.branch import RunState, failed_seqs
from interactive.record.checkpoints import CheckpointLibrary, Manifest
from interactive.record.data_log import DataLog
from interactive.record.ledger import Entry, EntryKind, LedgerWriter
from interactive.record.metrics import MetricsRow, MetricsWriter, read_metrics
from interactive.record.run_folder import RunFolder, RunFolderError
from interactive.steering.boundary import Boundary, Cadence
from interactive.steering.planner import Planner
from interactive.steering.retrace import Divergence, Retrace
from interactive.steering.saver import manifest_of
from interactive.steering.source import Source
from interactive.trainer import ControllableTrainer


class RunBusy(RunFolderError):
    """Another trainer holds the run."""


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
    warnings: tuple[str, ...]
    is_same_fingerprint: bool
    deviation: Divergence | None


@dataclass(frozen=True, slots=True)
class Session:
    """A run that was taken up and is live."""

    boundary: Boundary
    recovery: Recovery


@dataclass(frozen=True, slots=True)
class _Files:
    """What the trainer process writes."""

    ledger: LedgerWriter
    metrics: MetricsWriter
    data: DataLog
    checkpoints: CheckpointLibrary


@contextmanager
def open_session(
    folder: RunFolder,
    trainer: ControllableTrainer,
    *,
    open_source: Callable[[DataLog], Source],
    cadence: Cadence,
    clock: Callable[[], float],
    warn: Callable[[str], None],
) -> Iterator[Session]:
    """Take a run up: load, redo, check, say so in the ledger, go live.

    Args:
        folder: the run.
        trainer: fresh from its entry point.
        open_source: makes the source of commands, given the durable rows.
        cadence: what the run does by itself.
        clock: wall-clock seconds, written for readers only.
        warn: told in one line of what was passed over.

    Raises:
        RunBusy: another trainer holds the run.
        Diverged: a redone step is not what had been recorded.
        DataLost: a step that must be redone learned from a clip that cannot be read now.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder.trainer_lock).acquire(timeout=0))
        except Timeout:
            raise RunBusy(f"{folder.path} has a trainer already", "stop that one first") from None
        ledger = LedgerWriter.open(folder.ledger)
        stack.callback(ledger.close)
        metrics = MetricsWriter.open(folder.metrics)
        stack.callback(metrics.close)
        data = DataLog.open(folder.data, writable=True)
        stack.callback(data.close)
        checkpoints = CheckpointLibrary(folder.checkpoints)
        checkpoints.sweep()
        files = _Files(ledger, metrics, data, checkpoints)
        base, warnings = _choose_base(files)
        if base is not None:
            trainer.load(checkpoints.path(base.id))
        redo = _Redo(trainer, files, base, clock)
        # Read whole, because rows that were lost are appended to the same file.
        records = list(read_metrics(folder.metrics, after=base.metrics_rows if base else 0))
        recovery = redo.run(records, warnings)
        for warning in recovery.warnings:
            warn(warning)
        unfinished = redo.unfinished()
        boundary = Boundary(
            trainer,
            redo.state,
            ledger=ledger,
            metrics=metrics,
            checkpoints=checkpoints,
            source=open_source(data),
            cadence=cadence,
            clock=clock,
            warn=warn,
        )
        boundary.begin(_session_body(trainer, recovery))
        if redo.failure is not None:
            boundary.fail(*redo.failure)
        elif unfinished is not None:
            boundary.finish(*unfinished)
        yield Session(boundary, recovery)


class _Redo:
    """Brings a fresh trainer to where the record ends, and insists that it was so.

    It is the witness of its own retrace: steps whose rows were lost are written again,
    checkpoints that are not whole are made again, and a difference ends it.
    """

    def __init__(
        self,
        trainer: ControllableTrainer,
        files: _Files,
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

    def run(self, records: Sequence[MetricsRow], warnings: Sequence[str]) -> Recovery:
        """Redo what the record holds after the base."""
        planner = Planner(self._trainer, self.state, self._files.checkpoints)
        retrace = Retrace(self._trainer, self.state, planner, self._files.data, self, self._clock)
        retrace.run(self._entries, records)
        return Recovery(
            base=self._base.id if self._base else None,
            redone_steps=self._steps,
            warnings=tuple(warnings),
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


def _choose_base(files: _Files) -> tuple[Manifest | None, list[str]]:
    past = Past(files.ledger.entries, files.metrics.rows, files.checkpoints)
    return files.checkpoints.newest_whole(past.bears)


def _session_body(trainer: ControllableTrainer, recovery: Recovery) -> dict[str, object]:
    deviation = recovery.deviation
    return {
        "fingerprint": dict(trainer.fingerprint()),
        "capabilities": dict(trainer.capabilities()),
        "determinism": "exact" if recovery.is_same_fingerprint else "tolerance",
        "pid": os.getpid(),
        "base": recovery.base,
        "redone_steps": recovery.redone_steps,
        "deviation": deviation.to_json() if deviation else None,
    }
