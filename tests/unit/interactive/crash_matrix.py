"""Kills a run at every passage of a point, and takes it up again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interactive.record.checkpoints import CheckpointLibrary
from interactive.record.journal import JournalWriter
from interactive.record.ledger import EntryKind, LedgerWriter, read_ledger
from interactive.record.metrics import MetricsRow, MetricsWriter, read_metrics
from interactive.record.run_folder import RunFolder
from interactive.steering.boundary import Cadence
from tests.fakes import FakeTrainer, World, make_run, run_session


class Killed(BaseException):
    """The process dies here."""


def rows(folder: RunFolder) -> list[MetricsRow]:
    return list(read_metrics(folder.metrics))


def numbers(folder: RunFolder) -> list[tuple[Any, ...]]:
    """What training was; the count of entries is left out, for sessions add to it."""
    return [
        (r.branch, r.step, r.loss_bits, r.grad_norm_bits, r.lr, r.digest, r.mark, r.commits)
        for r in rows(folder)
    ]


def interventions(folder: RunFolder) -> list[tuple[Any, ...]]:
    return [
        (e.body["command_id"], e.branch, e.step, e.body["state"], e.body["effective"])
        for e in read_ledger(folder.ledger)
        if e.kind is EntryKind.INTERVENTION
    ]


def before(act: Callable[..., Any]) -> Callable[..., Any]:
    def dying(*args: Any, **kwargs: Any) -> Any:
        raise Killed

    return dying


def after(act: Callable[..., Any]) -> Callable[..., Any]:
    def dying(*args: Any, **kwargs: Any) -> Any:
        act(*args, **kwargs)
        raise Killed

    return dying


def torn(act: Callable[..., Any]) -> Callable[..., Any]:
    def dying(self: JournalWriter, lines: bytes, *, durable: bool) -> None:
        act(self, lines[: len(lines) // 2], durable=durable)
        raise Killed

    return dying


def half_saved(act: Callable[..., Any]) -> Callable[..., Any]:
    def dying(self: FakeTrainer, folder: Path) -> None:
        (folder / "state.json").write_text('{"step":')
        raise Killed

    return dying


def after_steps(steps: int, act: Callable[..., Any]) -> Callable[..., Any]:
    def dying(self: MetricsWriter, row: MetricsRow) -> None:
        if row.step > steps:
            raise Killed
        act(self, row)

    return dying


FAILPOINTS = {
    "before a ledger entry": (LedgerWriter, "append", before),
    "after a ledger entry": (LedgerWriter, "append", after),
    "in a line of any journal": (JournalWriter, "write", torn),
    "before a row of the metrics": (MetricsWriter, "append", before),
    "after a row of the metrics": (MetricsWriter, "append", after),
    "before a checkpoint": (CheckpointLibrary, "publish", before),
    "in a checkpoint": (FakeTrainer, "save", half_saved),
    "after a checkpoint": (CheckpointLibrary, "publish", after),
    "in pruning": (CheckpointLibrary, "prune", before),
    "before data are adopted": (FakeTrainer, "adopt", before),
    "after data were adopted": (FakeTrainer, "adopt", after),
    "after a checkpoint was loaded": (FakeTrainer, "load", after),
    "in an evaluation": (FakeTrainer, "evaluate", before),
}


def killed_at(
    passage: int, act: Callable[..., Any], kill: Callable[..., Any]
) -> Callable[..., Any]:
    """Return what acts, and at one passage kills."""
    left = passage

    def maybe(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        return (kill(act) if left == 0 else act)(*args, **kwargs)

    return maybe


def kill_at_every_passage(
    name: str,
    path: Path,
    undisturbed: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    make_world: Callable[[], World],
    cadence: Cadence,
    check: Callable[[RunFolder], None],
) -> None:
    """Kill a run at the first passage of a point, another one at the second, and so on."""
    owner, method, kill = FAILPOINTS[name]
    original = getattr(owner, method)
    passage = 0
    while True:
        passage += 1
        folder, world = make_run(path / str(passage), min_rows=3), make_world()
        monkeypatch.setattr(owner, method, killed_at(passage, original, kill))
        try:
            run_session(folder, world, cadence=cadence)
            break
        except Killed:
            recorded = numbers(folder)
            monkeypatch.setattr(owner, method, original)
            run_session(folder, world, cadence=cadence)
        assert numbers(folder)[: len(recorded)] == recorded
        assert numbers(folder) == numbers(undisturbed), passage
        assert interventions(folder) == interventions(undisturbed), passage
        check(folder)
        shutil.rmtree(folder.path)
    assert passage > 1
