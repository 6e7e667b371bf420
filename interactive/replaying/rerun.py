"""Makes the steps of a run again in a fresh trainer, from the beginning or from a checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from interactive.record.branch import RunState, failed_seqs, loaded_checkpoints
from interactive.record.checkpoints import CheckpointLibrary, Manifest
from interactive.record.data_log import DataLog
from interactive.record.ledger import Entry
from interactive.record.metrics import MetricsRow, MetricsWriter
from interactive.steering.planner import Planner
from interactive.steering.retrace import (
    Divergence,
    LostTrack,
    Retrace,
    Steps,
    compare_rows,
    drive,
)
from interactive.steering.saver import manifest_of
from interactive.trainer import ControllableTrainer, StepRecord


class _Diverged(Exception):
    """Ends a replay whose answer is known."""


@dataclass(frozen=True, slots=True)
class Base:
    """A checkpoint to begin at, and the run's own checkpoints that later branches need."""

    manifest: Manifest
    needed: frozenset[str]
    checkpoints: CheckpointLibrary


class Rerun:
    """Makes the steps of a list of entries in a fresh trainer, and keeps their rows.

    Args:
        trainer: fresh from the run's entry point.
        data: the rows of marks.
        folder: where checkpoints and rows of this rerun go.
        entries: the facts to bring about; they need not be those of the record.
        base: where to begin; at step 0 if None.
        stop_at_divergence: whether the first difference ends it.
        progress: told the number of steps made.
    """

    def __init__(
        self,
        trainer: ControllableTrainer,
        data: DataLog,
        folder: Path,
        entries: Sequence[Entry],
        *,
        base: Base | None = None,
        stop_at_divergence: bool,
        progress: Callable[[int], None],
    ) -> None:
        self._trainer = trainer
        self._data = data
        self._folder = folder
        self._base = base
        first_entry = base.manifest.ledger_entries if base else 0
        failed = failed_seqs(entries)
        self._entries = entries[first_entry:]
        self._stop_at_divergence = stop_at_divergence
        self._progress = progress
        self._state = RunState.of(entries[:first_entry], failed)
        self._checkpoints = CheckpointLibrary(folder / "checkpoints")
        self._loaded = loaded_checkpoints(self._entries, failed)
        self.rows: list[MetricsRow] = []
        self.identical = 0
        self.first_divergence: Divergence | None = None

    def run(self, records: Iterable[MetricsRow], train_step: Callable[[], StepRecord]) -> None:
        """Bring the entries about, compare with the records, and write the rows.

        Args:
            records: the rows of the steps from the base on.
            train_step: makes one step of the trainer.

        Raises:
            DataLost: a step needs a clip that cannot be read.
        """
        drive(self.steps(records), train_step)

    def steps(self, records: Iterable[MetricsRow]) -> Steps:
        """Do the same for a loop that makes its own steps.

        Yields:
            whenever the trainer is to make a step; what that did is sent back.
        """
        if self._base is not None:
            self._stand_at(self._base)
        planner = Planner(self._trainer, self._state, self._checkpoints)
        # A row's clock is for reading only, and a replay has no time of its own to tell.
        retrace = Retrace(self._trainer, self._state, planner, self._data, self, lambda: 0.0)
        try:
            yield from retrace.steps(self._entries, records)
        except (LostTrack, _Diverged):
            pass
        finally:
            self._write_rows()
            shutil.rmtree(self._checkpoints.folder, ignore_errors=True)

    def step_made(self, row: MetricsRow, recorded: MetricsRow | None) -> None:
        """Keep the row, and count it if it equals its record."""
        self.rows.append(row)
        self._progress(len(self.rows))
        if recorded is not None and self.first_divergence is None:
            self.identical += compare_rows(recorded, row) is None

    def diverged(self, divergence: Divergence) -> None:
        """Keep the first difference."""
        self.first_divergence = self.first_divergence or divergence
        if self._stop_at_divergence:
            raise _Diverged

    def checkpoint_passed(self, entry: Entry) -> None:
        """Save the state if a later entry opens a branch from it."""
        if entry.body["checkpoint"] in self._loaded:
            parent = self._state.parent()
            rows = len(self.rows)
            manifest = manifest_of(entry, mark=self._state.mark, metrics_rows=rows, parent=parent)
            self._checkpoints.publish(manifest, self._trainer.save)

    def not_applied(self, entry: Entry, error: Exception) -> None:
        """Go on: a live run would have recorded the failure."""

    def _stand_at(self, base: Base) -> None:
        self._trainer.load(base.checkpoints.path(base.manifest.id))
        for checkpoint in base.needed | (self._loaded & {base.manifest.id}):
            shutil.copytree(base.checkpoints.path(checkpoint), self._checkpoints.path(checkpoint))

    def _write_rows(self) -> None:
        writer = MetricsWriter.open(self._folder / "metrics.jsonl")
        for row in self.rows:
            writer.append(row)
        writer.close()
