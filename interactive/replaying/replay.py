"""Replays a run from its ledger in a fresh trainer, and names the first step that differs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interactive.record.bases import Past
from interactive.record.checkpoints import CheckpointLibrary
from interactive.record.data_log import DataLog
from interactive.record.ledger import Entry, EntryKind, read_ledger
from interactive.record.metrics import MetricsRow, read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.rerun import Base, Rerun
from interactive.steering.retrace import Divergence, compare_rows
from interactive.trainer import DataLost, SteppingTrainer

LIVE_SOURCE = "live"
"""The data source of clips that a person made during the run."""


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found.

    ``promise`` is ``same_fingerprint`` where the record was made on a machine like this
    one: then ``identical`` counts the steps that equal the record before the first
    divergence. Elsewhere it is ``self``: the run was replayed twice, ``identical`` compares
    these two, and ``deviation`` is the first difference from the record. ``withdrawn`` are
    the commits used that were withdrawn or cannot be read any more, ``live_clips`` the
    number of live clips that steps used. ``base`` is the checkpoint at which the replay
    began because steps before it need clips that are gone; ``steps`` counts from there.
    """

    steps: int
    identical: int
    first_divergence: Divergence | None
    promise: str
    withdrawn: tuple[int, ...]
    live_clips: int
    deviation: Divergence | None = None
    base: str | None = None

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
            "base": self.base,
        }


class ReplayNeedsWithdrawn(Exception):
    """Steps need clips that are gone, and no checkpoint after their last use is kept."""

    def __init__(self, commits: Sequence[int], steps: int) -> None:
        """Name the clips, and how many recorded steps a checkpoint would have to cover."""
        named = ", ".join(map(str, commits[:10])) + (" …" if len(commits) > 10 else "")
        super().__init__(
            f"the replay needs clips that are gone ({named}), and no whole checkpoint that "
            f"covers the first {steps} recorded steps, and not all, is left to begin at"
        )
        self.commits = tuple(commits)
        self.hint = "only what was trained after a checkpoint that is kept can be replayed."


def replay(
    run_dir: Path,
    *,
    ledger: Path | None = None,
    out_dir: Path | None = None,
    progress: Callable[[int], None] = lambda steps: None,
    build_trainer: Callable[[], SteppingTrainer] | None = None,
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

    Raises:
        ReplayNeedsWithdrawn: clips are gone that steps need up to the end of what is kept.
    """
    folder = RunFolder.open(run_dir, writable=out_dir is None)
    build = build_trainer or folder.build_trainer
    own_entries = read_ledger(folder.ledger)
    entries = read_ledger(ledger) if ledger is not None else own_entries
    records = list(read_metrics(folder.metrics))
    data = DataLog.open(folder.data)
    out = out_dir or _free_folder(folder.replays)

    past = Past(entries, len(records), CheckpointLibrary(folder.checkpoints))
    replayer = _Replayer(past, own_entries, records, data, out, progress)
    trainer = build()
    is_same = is_same_fingerprint(own_entries, trainer.fingerprint())
    first = replayer.first(trainer, build, stop=is_same)
    used = {commit for row in records for commit in row.commits}
    withdrawn = tuple(sorted((used & data.withdrawn) | replayer.lost))
    if is_same:
        divergence, deviation = first.first_divergence, None
        steps, identical = len(replayer.records), first.identical
        promise = "same_fingerprint"
    else:
        second = replayer.rerun("second", build(), stop=False)
        steps = len(first.rows)
        identical, divergence = compare_passes(first.rows, second.rows)
        deviation, promise = first.first_divergence, "self"
    report = ReplayReport(
        steps,
        identical,
        divergence,
        promise,
        withdrawn,
        count_live_clips(data, used),
        deviation,
        base=replayer.base.manifest.id if replayer.base else None,
    )
    (out / "report.json").write_text(json.dumps(report.to_json(), indent=2) + "\n", "utf-8")
    return report


class _Replayer:
    """Finds the first place that a replay can begin at, by trying."""

    def __init__(
        self,
        past: Past,
        own_entries: Sequence[Entry],
        records: Sequence[MetricsRow],
        data: DataLog,
        out: Path,
        progress: Callable[[int], None],
    ) -> None:
        self._past = past
        self._own_entries = own_entries
        self._all_records = records
        self._data = data
        self._out = out
        self._progress = progress
        self.base: Base | None = None
        self.lost: set[int] = set()

    @property
    def records(self) -> Sequence[MetricsRow]:
        """Return the rows of the steps from the base on."""
        return self._all_records[self.base.manifest.metrics_rows if self.base else 0 :]

    def first(
        self, trainer: SteppingTrainer, build: Callable[[], SteppingTrainer], *, stop: bool
    ) -> Rerun:
        """Replay from the first place after which nothing is needed that is gone.

        Raises:
            ReplayNeedsWithdrawn: there is no such place.
        """
        while True:
            try:
                return self.rerun("first", trainer, stop=stop)
            except _Stuck as stuck:
                self.lost.update(stuck.commits)
                self.base = self._next_base(stuck.steps)
                trainer = build()

    def rerun(self, name: str, trainer: SteppingTrainer, *, stop: bool) -> Rerun:
        """Replay from the base on."""
        part = self._out / name
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        made = Rerun(
            trainer,
            self._data,
            part,
            self._past.entries,
            base=self.base,
            stop_at_divergence=stop,
            progress=self._progress,
        )
        try:
            made.run(self.records, trainer.train_step)
        except DataLost as lost:
            raise _Stuck(lost.commits, len(made.rows)) from lost
        return made

    def _next_base(self, made: int) -> Base:
        """Return the first checkpoint that covers the step that failed and the last use."""
        covered = (self.base.manifest.metrics_rows if self.base else 0) + made + 1
        uses = [n for n, row in enumerate(self._all_records, 1) if self.lost & set(row.commits)]
        needed = max([covered, *uses])
        for manifest in self._past.bases_after(needed):
            entries = manifest.ledger_entries
            if self._past.entries[:entries] == self._own_entries[:entries]:
                return Base(manifest, self._past.needed(manifest), self._past.checkpoints)
        raise ReplayNeedsWithdrawn(sorted(self.lost), needed)


class _Stuck(Exception):
    """A step after so many made ones needs clips that are gone."""

    def __init__(self, commits: Sequence[int], steps: int) -> None:
        super().__init__(commits, steps)
        self.commits = commits
        self.steps = steps


def is_same_fingerprint(entries: Sequence[Entry], here: Mapping[str, str]) -> bool:
    """Return whether every session of a run had the fingerprint that is here."""
    sessions = (entry for entry in entries if entry.kind is EntryKind.SESSION)
    return all(dict(entry.body["fingerprint"]) == dict(here) for entry in sessions)


def compare_passes(
    first: Sequence[MetricsRow], second: Sequence[MetricsRow]
) -> tuple[int, Divergence | None]:
    """Return how many steps two passes have in common from their first, and what ends that."""
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


def count_live_clips(data: DataLog, used: Collection[int]) -> int:
    """Return how many of the commits are clips that a person made during the run."""
    rows = (row for row in data.rows(0, data.head) if row.commit in used)
    return sum(row.body.get("source") == LIVE_SOURCE for row in rows)


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
