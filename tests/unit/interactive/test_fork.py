"""A checkpoint is continued in a run of its own while the run goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunExists, RunFolder, RunMissing
from interactive.replaying import fork as forking
from interactive.replaying.dry_run import NoCheckpoint
from interactive.replaying.fork import fork
from interactive.replaying.replay import replay
from interactive.steering.boundary import Cadence
from tests.fakes import World, build_fake_trainer, data_row, delivered, make_run, run_session

LR = {"command": "update_optimizer", "lr": 0.01}


def world() -> World:
    return World(rows={("main", 0): [data_row(1, "base")], ("main", 6): [data_row(2)]})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = make_run(tmp_path / "run", min_rows=1)
    folder.traces.mkdir()
    run_session(folder, world(), cadence=Cadence(checkpoint_every=4, end_step=10))
    return folder


def bits(folder: RunFolder) -> list[tuple[Any, ...]]:
    return [(r.branch, r.step, r.loss_bits, r.digest, r.lr) for r in read_metrics(folder.metrics)]


def contents(folder: RunFolder) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.path.rglob("*") if p.is_file()}


def go_on(folder: RunFolder, end: int, *commands: Any) -> None:
    steered = World(commands={("main", 5): list(commands)})
    run_session(folder, steered, cadence=Cadence(end_step=end))


def test_it_continues_from_the_checkpoint_and_replays(folder: RunFolder, tmp_path: Path) -> None:
    before = contents(folder)
    child = fork(folder.path, "main-000004", tmp_path / "child")
    go_on(child, 9, delivered(1, LR))
    assert contents(folder) == before
    mine, its = bits(child), bits(folder)
    assert mine[:5] == its[:5]
    assert [row[-1] for row in mine[5:]] == [0.01] * 4
    assert replay(child.path).is_identical
    assert child.info().parent == {"run": str(folder.path.resolve()), "checkpoint": "main-000004"}


def test_both_go_on_side_by_side(folder: RunFolder, tmp_path: Path) -> None:
    child = fork(folder.path, "main-000008", tmp_path / "child")
    for end in (11, 12, 13):
        run_session(folder, world(), cadence=Cadence(end_step=end))
        go_on(child, end)
    # The fork adopted nothing since, and neither did the run: the same steps.
    assert bits(child) == bits(folder)
    assert replay(folder.path).is_identical


def test_it_needs_nothing_of_the_checkpoint_s_first_place(
    folder: RunFolder, tmp_path: Path
) -> None:
    child = fork(folder.path, "main-000004", tmp_path / "child")
    shutil.rmtree(folder.checkpoints)
    trainer = build_fake_trainer(child.config, child.path)
    session = run_session(child, World(), cadence=Cadence(end_step=6), trainer=trainer)
    assert session.recovery.base == "main-000004"
    assert child.traces.resolve() == folder.traces.resolve()


def test_what_is_not_there_or_in_the_way_is_named(folder: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(NoCheckpoint, match="no checkpoint"):
        fork(folder.path, "../run", tmp_path / "child")
    (folder.checkpoints / "main-000004" / "state.json").write_text("rotten")
    with pytest.raises(NoCheckpoint, match="other bytes"):
        fork(folder.path, "main-000004", tmp_path / "child")
    with pytest.raises(RunExists):
        fork(folder.path, "main-000008", folder.path)


def test_a_fork_cut_short_is_no_run(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(forking, "write_info", die)
        with pytest.raises(Killed):
            fork(folder.path, "main-000004", tmp_path / "child")
    with pytest.raises(RunMissing):
        RunFolder.open(tmp_path / "child")
    assert fork(folder.path, "main-000004", tmp_path / "child").info().parent is not None
