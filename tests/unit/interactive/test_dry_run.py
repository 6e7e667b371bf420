from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from interactive.record.run_folder import RunFolder
from interactive.replaying.dry_run import NoCheckpoint, dry_run
from interactive.steering.boundary import Cadence
from tests.fakes import World, build_fake_trainer, data_row, delivered, make_run, run_session

LR = {"command": "update_optimizer", "lr": 0.01}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = make_run(tmp_path / "run", min_rows=1)
    world = World(rows={("main", 0): [data_row(1, "base"), data_row(2)]})
    run_session(folder, world, cadence=Cadence(checkpoint_every=4, end_step=8))
    return folder


def contents(folder: RunFolder) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.path.rglob("*") if p.is_file()}


def test_both_forks_are_what_the_run_would_do(folder: RunFolder, tmp_path: Path) -> None:
    made: list[int] = []
    found = dry_run(folder.path, LR, steps=5, progress=made.append)
    assert made == list(range(1, 11))
    assert (found["base"], found["steps"], found["refused"]) == ("main-000008", 5, None)

    for name, commands in (("without", []), ("with", [delivered(1, LR)])):
        twin = make_run(tmp_path / name, min_rows=1)
        rows = {("main", 0): [data_row(1, "base"), data_row(2)]}
        world = World(rows=rows, commands={("main", 8): commands})
        losses: list[float] = []
        trainer = build_fake_trainer(twin.config, twin.path)
        step = trainer.train_step

        def kept(step: Any = step, losses: list[float] = losses) -> Any:
            record = step()
            losses.append(record.loss)
            return record

        trainer.train_step = kept  # type: ignore[method-assign]
        run_session(twin, world, cadence=Cadence(end_step=13), trainer=trainer)
        assert found[name]["loss"] == losses[8:]
        assert found[name]["final"] == losses[-1]
    mean = math.fsum(found["with"]["loss"]) / 5 - math.fsum(found["without"]["loss"]) / 5
    assert found["delta"] == pytest.approx(mean)
    assert found["delta"] != 0


def test_it_touches_nothing_of_the_run(folder: RunFolder) -> None:
    before = contents(folder)
    dry_run(folder.path, LR, steps=3)
    assert contents(folder) == before


def test_a_checkpoint_can_be_named(folder: RunFolder) -> None:
    assert dry_run(folder.path, LR, steps=1, checkpoint="main-000004")["base"] == "main-000004"
    with pytest.raises(NoCheckpoint, match="there is no checkpoint"):
        dry_run(folder.path, LR, steps=1, checkpoint="../x")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"command": "update_optimizer", "lr": 7.0}, "out_of_bounds"),
        ({"command": "pause"}, "unsupported"),
        ({"command": "load_checkpoint", "checkpoint": "main-000004"}, "unsupported"),
    ],
)
def test_what_the_run_would_refuse_is_refused(
    folder: RunFolder, command: dict[str, Any], code: str
) -> None:
    found = dry_run(folder.path, command, steps=3)
    assert found["refused"]["code"] == code
    assert found["with"] is None


def test_without_a_checkpoint_there_is_nothing_to_fork(tmp_path: Path) -> None:
    with pytest.raises(NoCheckpoint):
        dry_run(make_run(tmp_path / "run").path, LR, steps=1)
