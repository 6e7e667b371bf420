"""Runs that never were, made from a recorded one, and what came of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from interactive.record.branch import RunState, failed_seqs
from interactive.record.data_log import DataLog
from interactive.record.durable import write_whole
from interactive.record.ledger import Entry, EntryKind, read_ledger
from interactive.record.lineage import line_of, rows_on
from interactive.record.metrics import MetricsRow, json_safe, read_metrics
from interactive.record.run_folder import RunFolder, RunFolderError
from interactive.replaying.adaptation import Adaptation
from interactive.replaying.rerun import SAVE_EVERY, Rerun
from interactive.replaying.rerun_folder import Order, RerunFolder, forget_points
from interactive.steering.retrace import LostTrack
from interactive.trainer import SteppingTrainer

TAIL = 20
"""Losses that a final or best one is the mean of: a single one is noise."""
_PAST = "past.json"
_OUTCOME = "outcome.json"


class NothingRecorded(RunFolderError):
    """The run has made no step."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run: on its surviving line, up to a step.

    ``final`` is the mean of the last losses, ``best`` the lowest mean of as many in a row;
    ``measures`` are those of its evaluations at the end, by ``evaluation.measure``.
    """

    final: float
    best: float
    steps: int
    measures: Mapping[str, float] = field(default_factory=dict)
    lost: Mapping[int, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        lost = [{"seq": seq, "why": why} for seq, why in sorted(self.lost.items())]
        return dict(
            json_safe(
                {
                    "final": self.final,
                    "best": self.best,
                    "steps": self.steps,
                    "measures": dict(self.measures),
                    "lost": lost,
                }
            )
        )

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Outcome:
        """Rebuild an outcome from ``to_json``'s object."""
        measures = {name: float(value) for name, value in obj["measures"].items()}
        lost = {int(one["seq"]): str(one["why"]) for one in obj["lost"]}
        final, best = float(obj["final"]), float(obj["best"])
        return cls(final, best, int(obj["steps"]), measures, lost)


@dataclass(frozen=True, slots=True)
class Making:
    """How runs that never were are made.

    Args:
        build_trainer: makes a fresh trainer from a folder.
        with_seed: returns the text of a run's configuration with another seed.
        progress: told the name of a run and the steps it has made.
        tail: losses in a mean.
        save_every: steps between the points from which a killed one goes on.
    """

    build_trainer: Callable[[RunFolder], SteppingTrainer] = RunFolder.build_trainer
    with_seed: Callable[[RunFolder, int], str] | None = None
    progress: Callable[[str, int], None] = lambda name, steps: None
    tail: int = TAIL
    save_every: int = SAVE_EVERY


class Past:
    """What a run had recorded when this began; it may grow meanwhile.

    Args:
        source: the run; only read.
        out: where its reruns go; what was pinned there before stays.
    """

    def __init__(self, source: RunFolder, out: Path) -> None:
        self.source = source
        self.out = out
        entries, rows = read_ledger(source.ledger), list(read_metrics(source.metrics))
        rows = [row for row in rows if row.entries <= len(entries)]
        out.mkdir(parents=True, exist_ok=True)
        if (out / _PAST).exists():
            pinned = json.loads((out / _PAST).read_text("utf-8"))
        else:
            pinned = {"entries": len(entries), "steps": len(rows)}
            write_whole(out / _PAST, json.dumps(pinned) + "\n")
        self.entries: list[Entry] = entries[: pinned["entries"]]
        self.rows: list[MetricsRow] = rows[: pinned["steps"]]
        if not self.rows:
            raise NothingRecorded(f"{source.path} has made no step", "train it first")
        self.last_step = self.rows[-1].step
        self.branch = self.rows[-1].branch
        self.evaluations = sorted(
            {str(e.body["evaluation"]) for e in entries if e.kind is EntryKind.EVALUATION}
        )

    def seeds(self, count: int) -> list[int | None]:
        """Return so many seeds, the run's own (None) first."""
        own = self.source.info().seed
        return [None, *(own + more for more in range(1, count))]

    def make(
        self,
        name: str,
        entries: Sequence[Entry],
        making: Making,
        *,
        seed: int | None = None,
        relative: bool = False,
    ) -> Outcome:
        """Make a run of entries, or go on with it, and say what came of it.

        Args:
            name: its folder.
            entries: its ledger; the last one ends it.
            making: how it is made.
            seed: of the configuration; the run's own if None.
            relative: whether numbers keep their ratio rather than their value.

        Raises:
            DataLost: a step needs a clip that cannot be read any more.
            LostTrack: it did not reach its end.
        """
        path = self.out / (name if seed is None else f"{name}-seed-{seed}")
        if (path / _OUTCOME).exists():
            return Outcome.from_json(json.loads((path / _OUTCOME).read_text("utf-8")))
        config = None
        if seed is not None:
            if making.with_seed is None:
                raise ValueError("nobody says how a configuration is given another seed")
            config = making.with_seed(self.source, seed)
        with RerunFolder.opened(path, Order(self.source, entries, (), config=config)) as folder:
            outcome = self._make(folder, making, relative=relative)
            write_whole(path / _OUTCOME, json.dumps(outcome.to_json(), indent=1) + "\n")
        forget_points(path)
        return outcome

    def _make(self, folder: RerunFolder, making: Making, *, relative: bool) -> Outcome:
        path, entries = folder.run.path, folder.entries
        trainer = making.build_trainer(folder.run)
        adaptation = Adaptation(path, relative=relative)
        rerun = Rerun(
            trainer,
            DataLog.open(folder.run.data),
            folder,
            stop_at_divergence=False,
            progress=lambda steps: making.progress(path.name, steps),
            save_every=making.save_every,
            adapt=adaptation,
        )
        rerun.run(trainer.train_step)
        if trainer.step + 1 != entries[-1].step:
            raise LostTrack(f"{path.name} ended after step {trainer.step}")
        branch = entries[-1].branch
        measures = {
            f"{name}.{measure}": float(value)
            for name in self.evaluations
            for measure, value in trainer.evaluate(name, branch).measures.items()
        }
        return outcome_of(
            entries, rerun.rows, branch, self.last_step, making.tail, measures, adaptation.lost
        )


def outcome_of(
    entries: Sequence[Entry],
    rows: Sequence[MetricsRow],
    branch: str,
    last_step: int,
    tail: int = TAIL,
    measures: Mapping[str, float] | None = None,
    lost: Mapping[int, str] | None = None,
) -> Outcome:
    """Return what came of a run on the line that ends in a branch, up to a step."""
    state = RunState.of(entries, failed_seqs(entries))
    line = rows_on(rows, line_of(state, branch))
    losses = [row.loss for row in line if row.step <= last_step]
    width = min(tail, len(losses))
    means = [fmean(losses[at : at + width]) for at in range(len(losses) - width + 1)]
    lowest = min((mean for mean in means if mean == mean), default=float("nan"))
    return Outcome(means[-1], lowest, len(losses), measures or {}, lost or {})
