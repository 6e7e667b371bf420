"""Saves a run's checkpoints: the entry first, then the folder."""

from __future__ import annotations

from interactive.record.branch import RunState
from interactive.record.checkpoints import CheckpointLibrary, Manifest
from interactive.record.ledger import Entry, EntryKind, LedgerWriter
from interactive.record.metrics import MetricsWriter
from interactive.steering.scribe import Scribe
from interactive.trainer import ControllableTrainer

_NEUTRAL = frozenset({"pause", "resume", "step", "stop", "note", "evaluate", "save_checkpoint"})
"""Commands that leave the trainer as it was."""


class Saver:
    """Makes the checkpoints of a live run.

    Args:
        trainer: what is saved.
        state: says where the run stands; takes the checkpoint entries.
        scribe: writes the entries.
        ledger: read, to see whether the present state is saved already.
        metrics: made durable before a checkpoint that covers its rows.
        checkpoints: where the folders go.
        keep: how many periodic checkpoints stay.
    """

    def __init__(
        self,
        trainer: ControllableTrainer,
        state: RunState,
        scribe: Scribe,
        ledger: LedgerWriter,
        metrics: MetricsWriter,
        checkpoints: CheckpointLibrary,
        keep: int,
    ) -> None:
        self._trainer = trainer
        self._state = state
        self._scribe = scribe
        self._ledger = ledger
        self._metrics = metrics
        self._checkpoints = checkpoints
        self._keep = keep

    def save(self, *, kept: bool) -> None:
        """Save the present state.

        Args:
            kept: whether somebody asked for it, so that it is never pruned.

        Raises:
            Exception: it could not be saved, which is recorded.
        """
        name = self._state.free_checkpoint_id(self._trainer.step)
        parent = self._state.parent()
        digest = self._trainer.digest()
        body = {"checkpoint": name, "digest": digest, "kept": kept}
        entry = self._scribe.write(EntryKind.CHECKPOINT, body)
        try:
            self._metrics.sync()
            manifest = manifest_of(
                entry, mark=self._state.mark, metrics_rows=self._metrics.rows, parent=parent
            )
            self._checkpoints.publish(manifest, self._trainer.save)
        except Exception as error:
            self._state.take(entry, failed=True)
            self._scribe.fail(entry.seq, error)
            raise
        self._state.take(entry)
        self._checkpoints.prune(self._keep, self._state.bases())

    def save_by_cadence(self) -> None:
        """Save unless this step of this branch has a checkpoint; a failure is recorded."""
        state, step = self._state, self._trainer.step
        if not any(c.branch == state.branch and c.step == step for c in state.checkpoints.values()):
            self._try_to_save()

    def save_if_changed(self) -> None:
        """Save unless the newest checkpoint holds the present state; a failure is recorded."""
        if not self._is_saved():
            self._try_to_save()

    def _try_to_save(self) -> None:
        try:
            self.save(kept=False)
        except Exception as error:
            self._scribe.warn(f"no checkpoint after {self._trainer.step} updates: {error}")

    def _is_saved(self) -> bool:
        here = (self._state.branch, self._trainer.step + 1)
        for entry in reversed(self._ledger.entries):
            match entry.kind:
                case EntryKind.CHECKPOINT:
                    is_here = (entry.branch, entry.step) == here
                    return is_here and self._checkpoints.is_whole(str(entry.body["checkpoint"]))
                case EntryKind.MARK | EntryKind.WITHDRAWAL:
                    return False
                case EntryKind.INTERVENTION if entry.body["state"] == "applied":
                    if entry.body["command"]["command"] not in _NEUTRAL:
                        return False
                case _:
                    pass
        return False


def manifest_of(entry: Entry, *, mark: int, metrics_rows: int, parent: str | None) -> Manifest:
    """Return the manifest of the checkpoint that an entry announces."""
    return Manifest(
        id=str(entry.body["checkpoint"]),
        branch=entry.branch,
        step=entry.step - 1,
        mark=mark,
        ledger_entries=entry.seq + 1,
        metrics_rows=metrics_rows,
        digest=str(entry.body["digest"]),
        kept=bool(entry.body["kept"]),
        parent=parent,
    )
