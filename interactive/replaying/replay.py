"""Replays a run from its ledger in a fresh trainer, and names the first step that differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from interactive.record.bases import Past
from interactive.record.checkpoints import CheckpointLibrary
from interactive.record.data_log import DataLog
from interactive.record.durable import write_whole
from interactive.record.ledger import Entry, EntryKind, read_ledger
from interactive.record.metrics import MetricsRow, read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.report import ReplayReport, compare_passes
from interactive.replaying.rerun import SAVE_EVERY, Rerun
from interactive.replaying.rerun_folder import (
    Base,
    Order,
    RerunFolder,
    begun_order,
    differences,
    forget_points,
    refuse_others,
)
from interactive.trainer import DataLost, SteppingTrainer

LIVE_SOURCE = "live"
"""The data source of clips that a person made during the run."""
REPORT = "report.json"
SECOND = "second"
"""Where the second replay goes on a machine that is not that of the record."""


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


@dataclass(frozen=True, slots=True)
class Replaying:
    """How a replay is made.

    ``progress`` is told the number of steps made; ``build_trainer`` makes a fresh trainer
    (the run's entry point if None); ``code_version`` is that of the program here, told to
    the reader where it is not the record's; ``save_every`` steps lie between the points
    from which a killed replay goes on.
    """

    progress: Callable[[int], None] = lambda steps: None
    build_trainer: Callable[[], SteppingTrainer] | None = None
    code_version: str | None = None
    save_every: int = SAVE_EVERY


def replay(
    run_dir: Path,
    *,
    ledger: Path | None = None,
    out_dir: Path | None = None,
    progress: Callable[[int], None] = lambda steps: None,
    build_trainer: Callable[[], SteppingTrainer] | None = None,
    code_version: str | None = None,
    save_every: int = SAVE_EVERY,
) -> ReplayReport:
    """Replay a run and compare every step with its record.

    Killed at any moment and called again with the same ``out_dir``, it goes on, and ends
    as if it had not been killed.

    Args:
        run_dir: the run; its configuration, data and clips are read, nothing is changed.
        ledger: another ledger to follow, such as an exported and changed one.
        out_dir: the run folder that the replay becomes; a new one in the run's
            ``replays`` if None.
        progress: told the number of steps made.
        build_trainer: makes a fresh trainer; the run's entry point if None.
        code_version: of the program here; named where it is not that of the record.
        save_every: steps between the points from which a killed replay goes on.

    Returns:
        What was found; the same is written to ``report.json``.

    Raises:
        ReplayNeedsWithdrawn: clips are gone that steps need up to the end of what is kept.
        RunExists: the folder holds something else.
        Diverged: a step that was made before a kill came out otherwise after it.
    """
    folder = RunFolder.open(run_dir, writable=out_dir is None)
    out = out_dir or free_folder(folder.replays, "replay")
    options = Replaying(progress, build_trainer, code_version, save_every)
    replayer = _Replayer(folder, ledger, out, options)
    if (out / REPORT).exists():
        return replayer.report()
    text = json.dumps(replayer.run().to_json(), indent=2)
    write_whole(out / REPORT, text + "\n")
    for part in (out, out / SECOND):
        forget_points(part)
    return ReplayReport.from_json(json.loads(text))


class _Replayer:
    """Finds the first place that a replay can begin at, by trying, and replays from there."""

    def __init__(
        self, folder: RunFolder, ledger: Path | None, out: Path, options: Replaying
    ) -> None:
        self._folder = folder
        self._out = out
        self._options = options
        self._own_entries, entries, records = _record(folder, ledger, out)
        self._data = DataLog.open(folder.data)
        self._checkpoints = CheckpointLibrary(folder.checkpoints)
        self._past = Past(entries, len(records), self._checkpoints)
        self._order = Order(folder, entries, records)
        self._fingerprint: dict[str, str] = {}

    def report(self) -> ReplayReport:
        """Return what the finished replay in the folder found.

        Raises:
            RunExists: it is that of something else.
        """
        refuse_others(self._out, self._order)
        return ReplayReport.from_json(json.loads((self._out / REPORT).read_text("utf-8")))

    def run(self) -> ReplayReport:
        """Replay, twice where the machine is another.

        Raises:
            ReplayNeedsWithdrawn: there is no place after which nothing is needed that is gone.
        """
        begun = begun_order(self._out)
        if begun is not None and begun.get("base") is not None:
            self._begin_at(str(begun["base"]), tuple(begun["lost"]))
        first, is_same = self._first()
        base = self._order.base
        records = self._order.records[base.manifest.metrics_rows if base else 0 :]
        if is_same:
            divergence, deviation = first.first_divergence, None
            steps, identical = len(records), first.identical
        else:
            second, _ = self._rerun(SECOND, is_same=False)
            steps = len(first.rows)
            identical, divergence = compare_passes(first.rows, second.rows)
            deviation = first.first_divergence
        used = {commit for row in self._order.records for commit in row.commits}
        return ReplayReport(
            steps,
            identical,
            divergence,
            "same_fingerprint" if is_same else "self",
            tuple(sorted((used & self._data.withdrawn) | set(self._order.lost))),
            count_live_clips(self._data, used),
            deviation,
            base=base.manifest.id if base else None,
            differs=self._differs(),
        )

    def _first(self) -> tuple[Rerun, bool]:
        while True:
            try:
                return self._rerun("", is_same=None)
            except _Stuck as stuck:
                lost = tuple(sorted({*self._order.lost, *stuck.commits}))
                self._begin_at(self._next_base(stuck.steps, lost), lost)

    def _rerun(self, name: str, *, is_same: bool | None) -> tuple[Rerun, bool]:
        """Replay from the base on; a difference ends it where the machine is the same."""
        options = self._options
        with RerunFolder.opened(self._out / name, self._order) as folder:
            trainer = (options.build_trainer or folder.run.build_trainer)()
            self._fingerprint = dict(trainer.fingerprint())
            if is_same is None:
                is_same = is_same_fingerprint(self._own_entries, self._fingerprint)
            data = DataLog.open(folder.run.data)
            made = Rerun(
                trainer,
                data,
                folder,
                stop_at_divergence=is_same,
                progress=options.progress,
                save_every=options.save_every,
            )
            try:
                made.run(trainer.train_step)
            except DataLost as lost:
                raise _Stuck(lost.commits, len(made.rows)) from lost
        return made, is_same

    def _begin_at(self, checkpoint: str, lost: tuple[int, ...]) -> None:
        """Make a checkpoint the base; it may be the one of a rerun that goes on."""
        copies = CheckpointLibrary(RunFolder(self._out).checkpoints)
        # The run may have pruned it since; the copy that was taken over stays.
        library = copies if copies.is_whole(checkpoint) else self._checkpoints
        manifest = library.verify(checkpoint)
        base = Base(manifest, self._past.needed(manifest), library)
        order = self._order
        self._order = Order(order.source, order.entries, order.records, base, lost=lost)

    def _next_base(self, made: int, lost: tuple[int, ...]) -> str:
        """Return the first checkpoint that covers the step that failed and the last use."""
        base, records = self._order.base, self._order.records
        covered = (base.manifest.metrics_rows if base else 0) + made + 1
        uses = [n for n, row in enumerate(records, 1) if set(lost) & set(row.commits)]
        needed = max([covered, *uses])
        for manifest in self._past.bases_after(needed):
            entries = manifest.ledger_entries
            if self._past.entries[:entries] == self._own_entries[:entries]:
                return manifest.id
        raise ReplayNeedsWithdrawn(lost, needed)

    def _differs(self) -> tuple[tuple[str, str | None, str | None], ...]:
        sessions = [e for e in self._own_entries if e.kind is EntryKind.SESSION]
        found = [
            difference
            for entry in sessions
            for difference in differences(entry.body["fingerprint"], self._fingerprint)
        ]
        here, then = self._options.code_version, self._folder.info().code_version
        if here is not None and here != then:
            found.append(("code_version", then, here))
        return tuple(dict.fromkeys(found))


def _record(
    folder: RunFolder, ledger: Path | None, out: Path
) -> tuple[list[Entry], list[Entry], list[MetricsRow]]:
    """Return the run's entries, those to follow, and the rows; a run may grow meanwhile.

    What a rerun began with, it goes on with.
    """
    own, records = read_ledger(folder.ledger), read_metrics(folder.metrics)
    begun = begun_order(out)
    entries = own if ledger is None else read_ledger(ledger)
    if begun is not None:
        entries = entries if ledger is not None else own[: int(begun["entries"])]
        return own, entries, list(records)[: int(begun["steps"])]
    # Rows are read after entries: those made under later entries have no ground here.
    return own, entries, list(takewhile(lambda row: row.entries <= len(own), records))


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


def count_live_clips(data: DataLog, used: Collection[int]) -> int:
    """Return how many of the commits are clips that a person made during the run."""
    rows = (row for row in data.rows(0, data.head) if row.commit in used)
    return sum(row.body.get("source") == LIVE_SOURCE for row in rows)


def free_folder(replays: Path, kind: str) -> Path:
    """Make and return the first folder of a kind that is not there yet."""
    replays.mkdir(exist_ok=True)
    number = 1
    while True:
        folder = replays / f"{kind}-{number:03d}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder
