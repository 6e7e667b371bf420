"""Replays a run from its ledger in a fresh trainer, and names the first step that differs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interactive.branch import RunState, failed_seqs, loaded_checkpoints
from interactive.checkpoints import CheckpointLibrary
from interactive.data_log import DataLog
from interactive.ledger import Entry, EntryKind, read_ledger
from interactive.metrics import MetricsRow, MetricsWriter, read_metrics
from interactive.planner import Planner
from interactive.retrace import Divergence, LostTrack, Retrace, compare_rows
from interactive.run_folder import RunFolder
from interactive.saver import manifest_of
from interactive.trainer import ControllableTrainer

LIVE_SOURCE = "live"
"""The data source of clips that a person made during the run."""


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found.

    ``promise`` is ``same_fingerprint`` where the record was made on a machine like this
    one: then ``identical`` counts the steps that equal the record before the first
    divergence. Elsewhere it is ``self``: the run was replayed twice, ``identical`` compares
    these two, and ``deviation`` is the first difference from the record. ``withdrawn`` are
    the commits used that have since been tombstoned, ``live_clips`` the number of live
    clips that steps used.
    """

    steps: int
    identical: int
    first_divergence: Divergence | None
    promise: str
    withdrawn: tuple[int, ...]
    live_clips: int
    deviation: Divergence | None = None

    @property
    def is_identical(self) -> bool:
        """Return whether every step was made again as it was."""
        return self.identical == self.steps and self.first_divergence is None

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        divergence, deviation = self.first_divergence, self.deviation
        return {
            "steps": self.steps,
            "identical": self.identical,
            "first_divergence": divergence.to_json() if divergence else None,
            "promise": self.promise,
            "withdrawn": list(self.withdrawn),
            "live_clips": self.live_clips,
            "deviation": deviation.to_json() if deviation else None,
        }


class _Diverged(Exception):
    """Ends a replay whose answer is known."""


class Rerun:
    """Makes the steps of a list of entries in a fresh trainer, and keeps their rows.

    Args:
        trainer: fresh from the run's entry point.
        data: the rows of marks.
        folder: where checkpoints and rows of this rerun go; made here.
        entries: the facts to bring about; they need not be those of the record.
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
        stop_at_divergence: bool,
        progress: Callable[[int], None],
    ) -> None:
        self._trainer = trainer
        self._data = data
        self._folder = folder
        self._entries = entries
        self._stop_at_divergence = stop_at_divergence
        self._progress = progress
        self._state = RunState()
        self._checkpoints = CheckpointLibrary(folder / "checkpoints")
        self._loaded = loaded_checkpoints(entries, failed_seqs(entries))
        self.rows: list[MetricsRow] = []
        self.identical = 0
        self.first_divergence: Divergence | None = None

    def run(self, records: Iterable[MetricsRow]) -> None:
        """Bring the entries about, compare with the records, and write the rows."""
        planner = Planner(self._trainer, self._state, self._checkpoints)
        # A row's clock is for reading only, and a replay has no time of its own to tell.
        retrace = Retrace(self._trainer, self._state, planner, self._data, self, lambda: 0.0)
        try:
            retrace.run(self._entries, records)
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

    def _write_rows(self) -> None:
        writer = MetricsWriter.open(self._folder / "metrics.jsonl")
        for row in self.rows:
            writer.append(row)
        writer.close()


def replay(
    run_dir: Path,
    *,
    ledger: Path | None = None,
    out_dir: Path | None = None,
    progress: Callable[[int], None] = lambda steps: None,
    build_trainer: Callable[[], ControllableTrainer] | None = None,
) -> ReplayReport:
    """Replay a run and compare every step with its record.

    Args:
        run_dir: the run; its configuration, data and clips are read, nothing is changed.
        ledger: another ledger to follow, such as an exported and changed one.
        out_dir: where rows and report go; a new folder in the run's ``replays`` if None.
        progress: told the number of steps made.
        build_trainer: makes a fresh trainer; the run's entry point if None.

    Returns:
        What was found; the same is written to ``report.json``.
    """
    folder = RunFolder.open(run_dir, writable=out_dir is None)
    build = build_trainer or folder.build_trainer
    own_entries = read_ledger(folder.ledger)
    entries = read_ledger(ledger) if ledger is not None else own_entries
    records = list(read_metrics(folder.metrics))
    data = DataLog.open(folder.data)
    out = out_dir or _free_folder(folder.replays)

    def rerun(name: str, trainer: ControllableTrainer, *, stop: bool) -> Rerun:
        part = out / name
        part.mkdir(parents=True)
        made = Rerun(trainer, data, part, entries, stop_at_divergence=stop, progress=progress)
        made.run(records)
        return made

    trainer = build()
    is_same = _is_same_fingerprint(own_entries, trainer.fingerprint())
    first = rerun("first", trainer, stop=is_same)
    used = {commit for row in records for commit in row.commits}
    withdrawn, live = _about_clips(data, used)
    if is_same:
        divergence, deviation = first.first_divergence, None
        steps, identical = len(records), first.identical
        promise = "same_fingerprint"
    else:
        second = rerun("second", build(), stop=False)
        steps = len(first.rows)
        identical, divergence = _compare(first.rows, second.rows)
        deviation, promise = first.first_divergence, "self"
    report = ReplayReport(steps, identical, divergence, promise, withdrawn, live, deviation)
    (out / "report.json").write_text(json.dumps(report.to_json(), indent=2) + "\n", "utf-8")
    return report


def _is_same_fingerprint(entries: Sequence[Entry], here: Mapping[str, str]) -> bool:
    sessions = (entry for entry in entries if entry.kind is EntryKind.SESSION)
    return all(dict(entry.body["fingerprint"]) == dict(here) for entry in sessions)


def _compare(
    first: Sequence[MetricsRow], second: Sequence[MetricsRow]
) -> tuple[int, Divergence | None]:
    for number, (one, other) in enumerate(zip(first, second, strict=False)):
        divergence = compare_rows(one, other)
        if divergence is not None:
            return number, divergence
    if len(first) != len(second):
        at = (first if len(first) > len(second) else second)[min(len(first), len(second))]
        return min(len(first), len(second)), Divergence(
            at.branch, at.step, "steps", len(first), len(second)
        )
    return len(first), None


def _about_clips(data: DataLog, used: set[int]) -> tuple[tuple[int, ...], int]:
    rows = [row for row in data.rows(0, data.head) if row.commit in used]
    withdrawn = tuple(row.commit for row in rows if row.body.get("state") == "tombstoned")
    return withdrawn, sum(row.body.get("source") == LIVE_SOURCE for row in rows)


def _free_folder(replays: Path) -> Path:
    replays.mkdir(exist_ok=True)
    number = 1
    while True:
        folder = replays / f"replay-{number:03d}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder
