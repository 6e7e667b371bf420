"""Makes the steps of a run again in a fresh trainer, from the beginning or from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from interactive.commands import Command
from interactive.record.branch import RunState, loaded_checkpoints
from interactive.record.checkpoints import Manifest
from interactive.record.data_log import DataLog
from interactive.record.ledger import Entry
from interactive.record.metrics import MetricsRow, MetricsWriter, read_metrics
from interactive.replaying.rerun_folder import RerunFolder
from interactive.steering.planner import Planner
from interactive.steering.redo import Diverged
from interactive.steering.retrace import Divergence, LostTrack, Retrace, Steps, compare_rows, drive
from interactive.steering.saver import manifest_of
from interactive.trainer import ControllableTrainer, StepRecord

SAVE_EVERY = 50
"""Steps between the points from which a killed rerun goes on."""


class _Enough(Exception):
    """Ends a rerun whose answer is known."""


class Rerun:
    """Makes the steps of a list of entries in a fresh trainer, and keeps their rows.

    It goes on from the newest point in its folder. What an earlier process made after that
    point is made again, and must come out the same.

    Args:
        trainer: fresh from the entry point.
        data: the rows of marks.
        folder: what is to be done, and where it is kept.
        stop_at_divergence: whether the first difference from the record ends it.
        progress: told the number of steps made, those of earlier processes included.
        save_every: steps between two points to go on from.
        adapt: carries commands over to a run that never was; as they were if None.
    """

    def __init__(
        self,
        trainer: ControllableTrainer,
        data: DataLog,
        folder: RerunFolder,
        *,
        stop_at_divergence: bool,
        progress: Callable[[int], None],
        save_every: int = SAVE_EVERY,
        adapt: Callable[[Planner, Entry, Command], Command | None] | None = None,
    ) -> None:
        self._adapt = adapt
        self._trainer = trainer
        self._data = data
        self._folder = folder
        self._stop_at_divergence = stop_at_divergence
        self._progress = progress
        self._save_every = save_every
        self._state = RunState()
        self._kept: list[MetricsRow] = []
        self._writer: MetricsWriter | None = None
        self._loaded = loaded_checkpoints(folder.entries, folder.failed)
        self.rows: list[MetricsRow] = []
        self.identical = 0
        self.first_divergence: Divergence | None = None

    def run(self, train_step: Callable[[], StepRecord]) -> None:
        """Bring the entries about, compare with the records, and write the rows.

        Args:
            train_step: makes one step of the trainer.

        Raises:
            DataLost: a step needs a clip that cannot be read.
            Diverged: a step that an earlier process made came out otherwise this time.
            RunExists: the folder was begun on another machine.
        """
        drive(self.steps(), train_step)

    def steps(self) -> Steps:
        """Do the same for a loop that makes its own steps.

        Yields:
            whenever the trainer is to make a step; what that did is sent back.
        """
        folder = self._folder
        folder.claim(self._trainer.fingerprint())
        self._writer = MetricsWriter.open(folder.run.metrics)
        try:
            done = self._stand()
            found = folder.divergence()
            if found is not None:
                self.first_divergence, self.identical = found
                if self._stop_at_divergence:
                    return
            planner = Planner(self._trainer, self._state, folder.checkpoints)
            # A row's clock is for reading only, and a rerun has no time of its own to tell.
            retrace = Retrace(
                self._trainer,
                self._state,
                planner,
                self._data,
                self,
                lambda: 0.0,
                lambda entry, command: self._carry_over(planner, entry, command),
            )
            records = folder.order.records[folder.taken + len(self.rows) :]
            yield from retrace.steps(folder.entries[done:], records)
        except (LostTrack, _Enough):
            pass
        finally:
            self._writer.close()

    def step_made(self, row: MetricsRow, recorded: MetricsRow | None) -> None:
        """Keep the row, count it if it equals its record, and keep a point now and then."""
        assert self._writer is not None
        number = len(self.rows)
        self.rows.append(row)
        if number < len(self._kept):
            difference = compare_rows(self._kept[number], row)
            if difference is not None:
                raise Diverged(difference)
        else:
            self._writer.append(row)
        if recorded is not None and self.first_divergence is None:
            difference = compare_rows(recorded, row)
            if difference is not None:
                self._keep(difference)
            else:
                self.identical += 1
        if len(self.rows) % self._save_every == 0:
            self._save_point(row)
        self._progress(len(self.rows))

    def diverged(self, divergence: Divergence) -> None:
        """Keep the first difference."""
        if self.first_divergence is None:
            self._keep(divergence)
        if self._stop_at_divergence:
            raise _Enough

    def checkpoint_passed(self, entry: Entry) -> None:
        """Save the state where the record says that it was saved."""
        folder, checkpoint = self._folder, str(entry.body["checkpoint"])
        if folder.checkpoints.is_whole(checkpoint):
            return
        manifest = manifest_of(
            entry,
            mark=self._state.mark,
            metrics_rows=folder.taken + len(self.rows),
            parent=self._state.parent(),
        )
        actual = replace(
            manifest, digest=self._trainer.digest(), ledger_entries=self._state.entries + 1
        )
        folder.checkpoints.publish(actual, self._trainer.save)
        base = {folder.order.base.manifest.id} if folder.order.base else set()
        folder.checkpoints.prune(1, self._loaded | base)

    def not_applied(self, entry: Entry, error: Exception) -> None:
        """Go on: a live run would have recorded the failure."""

    def _carry_over(self, planner: Planner, entry: Entry, command: Command) -> Command | None:
        return command if self._adapt is None else self._adapt(planner, entry, command)

    def _keep(self, divergence: Divergence) -> None:
        self._folder.keep_divergence(divergence, self.identical)
        self.first_divergence = divergence

    def _stand(self) -> int:
        """Bring the trainer to the newest point; return how many entries lie behind it."""
        folder = self._folder
        made = list(read_metrics(folder.run.metrics, after=folder.taken))
        point = folder.point(folder.taken + len(made))
        if point is not None:
            self._trainer.load(folder.points.path(point.id))
            done, rows = point.ledger_entries, point.metrics_rows - folder.taken
        else:
            done, rows = folder.first_entry, 0
            if folder.order.base is not None:
                base = folder.order.base.manifest.id
                self._trainer.load(folder.checkpoints.path(base))
        for entry in folder.entries[:done]:
            self._state.take(entry, failed=entry.seq in folder.failed)
        self.rows, self._kept = made[:rows], made
        self.identical = min(rows, max(0, len(folder.order.records) - folder.taken))
        return done

    def _save_point(self, row: MetricsRow) -> None:
        assert self._writer is not None
        rows = self._folder.taken + len(self.rows)
        self._writer.sync()
        manifest = Manifest(
            id=f"row-{rows:08d}",
            branch=row.branch,
            step=row.step,
            mark=self._state.mark,
            ledger_entries=self._state.entries,
            metrics_rows=rows,
            digest=self._trainer.digest(),
            kept=False,
            parent=None,
        )
        self._folder.save_point(manifest, self._trainer.save)
