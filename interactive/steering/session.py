"""Takes a run up where it was left: redone and checked first, and then live."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from filelock import FileLock, Timeout

from interactive.record.bases import Past
from interactive.record.checkpoints import CheckpointLibrary
from interactive.record.data_log import DataLog
from interactive.record.ledger import LedgerWriter
from interactive.record.metrics import MetricsWriter
from interactive.record.run_folder import RunFolder, RunFolderError
from interactive.steering.boundary import Boundary, Cadence
from interactive.steering.redo import Files, Recovery, Redo
from interactive.steering.retrace import next_step
from interactive.steering.source import Source
from interactive.steering.steered import Status
from interactive.trainer import ControllableTrainer, DataLost, StepRecord


class RunBusy(RunFolderError):
    """Another trainer holds the run."""


class Session:
    """A run that was taken up: what was recorded is made again, and then it is live.

    The loop that makes the steps need not know which of the two it is in.

    Args:
        trainer: stands at the base of ``redo``.
        redo: makes the recorded steps again.
        go_live: makes the boundary once the record has been reached.
    """

    def __init__(
        self, trainer: ControllableTrainer, redo: Redo, go_live: Callable[[Recovery], Boundary]
    ) -> None:
        self._trainer = trainer
        self._redo = redo
        self._go_live = go_live
        self._steps = redo.steps()
        self._is_asked = False
        self._made: StepRecord | None = None
        self._live: Boundary | None = None
        self._end_requested = False
        self._mode = "recovering"
        self._settings = trainer.settings()
        self.recovery: Recovery | None = None
        """How the run was taken up; None until that is done."""

    def cross(self) -> bool:
        """Do what is due before the next step, and return whether there is one.

        Raises:
            Diverged: a redone step is not what had been recorded.
        """
        if self._live is None:
            if self._is_redoing():
                return True
            if self._live is None:
                return False
        return self._live.cross()

    def is_quiet(self, step: int) -> bool:
        """Return whether nothing is known that is due after ``step`` updates."""
        return self._live is not None and self._live.is_quiet(step)

    def record(self, record: StepRecord) -> None:
        """Take the step that was just made: written, or at the next boundary compared.

        Raises:
            OSError: it cannot be written; a run without a record does not go on.
        """
        if self._live is None:
            self._made = record
        else:
            self._live.record(record)

    def lose(self, lost: DataLost) -> None:
        """Go on without clips that the step about to be made could not read.

        Raises:
            DataLost: the step is one that must be redone; or it is the second time.
            OSError: it cannot be recorded.
        """
        if self._live is None:
            raise lost
        self._live.lose(lost)

    def request_end(self) -> None:
        """End before the next step; safe in a signal handler or a thread.

        A live run saves a checkpoint first; one that is still redone has its record already.
        """
        self._end_requested = True
        if self._live is not None:
            self._live.request_end()

    def status(self) -> Status:
        """Return where the run stands; safe in any thread."""
        if self._live is not None:
            return self._live.status()
        state = self._redo.state
        return Status(self._mode, self._trainer.step, state.branch, state.mark, self._settings)

    def _is_redoing(self) -> bool:
        """Return whether another recorded step is to be made again; go live if none is left."""
        if self._mode == "stopped":
            return False
        if not self._is_asked or self._made is not None:
            made, self._made = self._made, None
            self._is_asked = next_step(self._steps, made)
        if not self._is_asked:
            self.recovery = self._redo.recovery()
            self._live = self._go_live(self.recovery)
            if self._end_requested:
                self._live.request_end()
        elif self._end_requested:
            self._steps.close()
            self._mode = "stopped"
            return False
        return self._is_asked


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
    """Take a run up: load the newest checkpoint; the rest is the session's.

    Args:
        folder: the run.
        trainer: fresh from its entry point.
        open_source: makes the source of commands, given the durable rows.
        cadence: what the run does by itself.
        clock: wall-clock seconds, written for readers only.
        warn: told in one line of what was passed over.

    Raises:
        RunBusy: another trainer holds the run.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder.trainer_lock).acquire(timeout=0))
        except Timeout:
            raise RunBusy(f"{folder.path} has a trainer already", "stop that one first") from None
        files = _open_files(folder, stack)
        past = Past(files.ledger.entries, files.metrics.rows, files.checkpoints)
        base, warnings = files.checkpoints.newest_whole(past.bears)
        for warning in warnings:
            warn(warning)
        if base is not None:
            trainer.load(files.checkpoints.path(base.id))
        redo = Redo(trainer, files, base, clock)
        source = open_source(files.data)

        def go_live(recovery: Recovery) -> Boundary:
            unfinished = redo.unfinished()
            boundary = Boundary(
                trainer,
                redo.state,
                ledger=files.ledger,
                metrics=files.metrics,
                checkpoints=files.checkpoints,
                source=source,
                cadence=cadence,
                clock=clock,
                warn=warn,
            )
            boundary.begin(_session_body(trainer, recovery))
            if redo.failure is not None:
                boundary.fail(*redo.failure)
            elif unfinished is not None:
                boundary.finish(*unfinished)
            return boundary

        yield Session(trainer, redo, go_live)


def _open_files(folder: RunFolder, stack: ExitStack) -> Files:
    ledger = LedgerWriter.open(folder.ledger)
    stack.callback(ledger.close)
    metrics = MetricsWriter.open(folder.metrics)
    stack.callback(metrics.close)
    data = DataLog.open(folder.data, writable=True)
    stack.callback(data.close)
    checkpoints = CheckpointLibrary(folder.checkpoints)
    checkpoints.sweep()
    return Files(folder, ledger, metrics, data, checkpoints)


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
