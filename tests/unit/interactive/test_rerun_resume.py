"""A replay that is killed anywhere and called again ends as one that was not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crash_matrix import Killed, after, before, half_saved, torn

from interactive.record import journal
from interactive.record.journal import JournalWriter
from interactive.record.ledger import export_ledger, read_ledger
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunExists, RunFolder
from interactive.replaying import rerun_folder
from interactive.replaying.replay import replay
from interactive.steering.boundary import Cadence
from interactive.steering.redo import Diverged
from tests.fakes import (
    FakeTrainer,
    World,
    build_fake_trainer,
    data_row,
    delivered,
    make_run,
    run_session,
)

LOAD = {"command": "load_checkpoint", "checkpoint": "main-000004"}


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(journal, "_fdatasync", lambda handle: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Live data, a changed lr, a mixture, and a branch from a checkpoint that was asked for."""
    folder = make_run(tmp_path_factory.mktemp("resume") / "run", min_rows=2)
    world = World(
        commands={
            ("main", 2): [delivered(1, {"command": "update_optimizer", "lr": 0.03})],
            ("main", 4): [delivered(2, {"command": "save_checkpoint"})],
            ("main", 6): [
                delivered(3, {"command": "update_mixture", "weights": {"base": 0.0}}),
                delivered(4, LOAD),
            ],
        },
        rows={
            ("main", 0): [data_row(1, "base"), data_row(2, "base")],
            ("main", 3): [data_row(3, "live")],
            ("b1", 7): [data_row(4, "live")],
        },
    )
    run_session(folder, world, cadence=Cadence(checkpoint_every=5, end_step=11))
    return folder


FAILPOINTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "before a file appears": (os, "replace", before),
    "after a file appeared": (os, "replace", after),
    "before a row": (JournalWriter, "write", before),
    "in the middle of a row": (JournalWriter, "write", torn),
    "after a row": (JournalWriter, "write", after),
    "in the middle of a save": (FakeTrainer, "save", half_saved),
    "after a step": (FakeTrainer, "train_step", after),
    "after a load": (FakeTrainer, "load", after),
    "while the points go": (rerun_folder.shutil, "rmtree", after),
}


def made(out: Path) -> dict[str, bytes]:
    """What a replay leaves: every file but locks and what belongs to checkpoints pruned."""
    names = ("metrics.jsonl", "ledger.jsonl", "config.toml", "run.json", "report.json")
    parts = [out / part / name for part in ("", "second") for name in names]
    return {str(file.relative_to(out)): file.read_bytes() for file in parts if file.exists()}


def another_machine(folder: RunFolder, seed: int) -> Callable[[], FakeTrainer]:
    def build() -> FakeTrainer:
        trainer = build_fake_trainer(folder.config, folder.path)
        trainer.machine["cpu"] = "another"
        trainer.seed += seed
        return trainer

    return build


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        *((name, "same") for name in FAILPOINTS),
        ("after a file appeared", "another"),
        ("in the middle of a row", "another"),
    ],
)
def test_a_replay_killed_anywhere_ends_as_if_it_had_not_been(
    name: str, machine: str, folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, method, kill = FAILPOINTS[name]
    original = getattr(owner, method)
    build = another_machine(folder, 1) if machine == "another" else None
    undisturbed = replay(folder.path, out_dir=tmp_path / "whole", build_trainer=build, save_every=3)
    assert undisturbed.is_identical
    assert undisturbed.promise == ("self" if build else "same_fingerprint")
    assert (undisturbed.deviation is not None) == (build is not None)
    passage = 0
    while True:
        passage += 1
        out, left = tmp_path / "out", passage

        def maybe(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            return (kill(original) if left == 0 else original)(*args, **kwargs)

        monkeypatch.setattr(owner, method, maybe)
        try:
            replay(folder.path, out_dir=out, build_trainer=build, save_every=3)
            is_over = True
        except Killed:
            is_over = False
        monkeypatch.setattr(owner, method, original)
        report = replay(folder.path, out_dir=out, build_trainer=build, save_every=3)
        assert report == undisturbed, passage
        assert made(out) == made(tmp_path / "whole"), passage
        assert not (out / "resume").exists() or not is_over
        shutil.rmtree(out)
        if is_over:
            break
    assert passage > 1


def test_it_goes_on_and_does_not_begin_again(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, step = 0, FakeTrainer.train_step

    def dying(self: FakeTrainer) -> Any:
        nonlocal steps
        steps += 1
        if steps == 11:
            raise Killed
        return step(self)

    monkeypatch.setattr(FakeTrainer, "train_step", dying)
    with pytest.raises(Killed):
        replay(folder.path, out_dir=tmp_path / "out", save_every=4)
    assert replay(folder.path, out_dir=tmp_path / "out", save_every=4).is_identical
    # 10 made, the last point at 8: 2 are made again.
    assert steps == 11 + 2 + (13 - 10)


def test_its_folder_is_a_run_folder(folder: RunFolder, tmp_path: Path) -> None:
    replay(folder.path, out_dir=tmp_path / "out")
    out = RunFolder.open(tmp_path / "out")
    assert out.config.read_text() == folder.config.read_text()
    assert read_ledger(out.ledger) == read_ledger(folder.ledger)
    rows, recorded = list(read_metrics(out.metrics)), list(read_metrics(folder.metrics))
    assert [r.loss_bits for r in rows] == [r.loss_bits for r in recorded]
    assert out.info().entry_point == folder.info().entry_point
    trainer = build_fake_trainer(out.config, out.path)
    run_session(out, World(), cadence=Cadence(end_step=13), trainer=trainer)
    assert trainer.step == 13


def test_a_run_that_grew_since_does_not_change_a_replay_that_was_begun(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(folder.path, run.path)
    with monkeypatch.context() as patched:
        patched.setattr(JournalWriter, "write", torn(JournalWriter.write))
        with pytest.raises(Killed):
            replay(run.path, out_dir=tmp_path / "out")
    run_session(run, World(), cadence=Cadence(end_step=20))
    report = replay(run.path, out_dir=tmp_path / "out")
    assert (report.steps, report.is_identical) == (13, True)


def test_a_folder_of_something_else_is_refused(folder: RunFolder, tmp_path: Path) -> None:
    replay(folder.path, out_dir=tmp_path / "out")
    export_ledger(read_ledger(folder.ledger)[:-1], tmp_path / "other.jsonl")
    with pytest.raises(RunExists, match="something else"):
        replay(folder.path, ledger=tmp_path / "other.jsonl", out_dir=tmp_path / "out")
    with pytest.raises(RunExists, match="not empty"):
        replay(folder.path, out_dir=folder.path)


def killed_at_step(monkeypatch: pytest.MonkeyPatch, folder: RunFolder, out: Path) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(FakeTrainer, "digest", before(FakeTrainer.digest))
        with pytest.raises(Killed):
            replay(folder.path, out_dir=out)


def test_halves_made_on_two_machines_are_refused(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at_step(monkeypatch, folder, tmp_path / "out")
    with pytest.raises(RunExists, match="another fingerprint"):
        replay(folder.path, out_dir=tmp_path / "out", build_trainer=another_machine(folder, 0))


def test_a_trainer_that_does_not_repeat_itself_is_found_after_a_kill(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(FakeTrainer, "save", half_saved(FakeTrainer.save))
        with pytest.raises(Killed):
            replay(
                folder.path,
                out_dir=tmp_path / "out",
                build_trainer=another_machine(folder, 0),
                save_every=99,
            )
    with pytest.raises(Diverged):
        replay(folder.path, out_dir=tmp_path / "out", build_trainer=another_machine(folder, 1))


def test_what_differs_from_the_record_is_named(folder: RunFolder, tmp_path: Path) -> None:
    report = replay(
        folder.path,
        out_dir=tmp_path / "out",
        build_trainer=another_machine(folder, 0),
        code_version="newer",
    )
    assert report.differs == (("cpu", "fake", "another"), ("code_version", "test", "newer"))
    found = json.loads((tmp_path / "out" / "report.json").read_text())["differs"]
    assert found[0] == {"field": "cpu", "recorded": "fake", "here": "another"}
