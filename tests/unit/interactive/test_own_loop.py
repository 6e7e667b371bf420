"""Loops that make their own steps: redone after a crash, and replayed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interactive.integrations import loop
from interactive.integrations.loop import steer
from interactive.record.ledger import EntryKind, export_ledger, read_ledger
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.own_loop import REPLAY, BadReplayPlan, ReplayPlan, open_replay
from interactive.steering.boundary import Cadence
from interactive.steering.redo import Diverged
from interactive.steering.session import open_session
from interactive.steering.steered import Status
from interactive.trainer import DataLost
from tests.fakes import FakeTrainer, World, build_fake_trainer, delivered, make_run, run_session

SAVE, LR = {"command": "save_checkpoint"}, {"command": "update_optimizer", "lr": 0.01}
LOAD = {"command": "load_checkpoint", "checkpoint": "main-000003", "branch": "b"}


@pytest.fixture
def steered(tmp_path: Path) -> RunFolder:
    """A run with a changed lr and a branch."""
    folder = make_run(tmp_path / "run")
    world = World(
        commands={
            ("main", 3): [delivered(1, SAVE), delivered(2, LR)],
            ("main", 6): [delivered(3, LOAD)],
        }
    )
    run_session(folder, world, cadence=Cadence(end_step=8))
    return folder


def train(folder: RunFolder, end: int | None = None, **machine: str) -> FakeTrainer:
    """The user's script: it knows nothing of recovery and replay."""
    trainer = build_fake_trainer(folder.config, folder.path)
    trainer.machine.update(machine)
    with steer(folder.path, trainer, cadence=Cadence(end_step=end), warn=print) as boundary:
        while boundary.cross():
            try:
                made = trainer.train_step()
            except DataLost as lost:
                boundary.lose(lost)
            else:
                boundary.record(made)
    return trainer


def report(monkeypatch: pytest.MonkeyPatch, folder: RunFolder, out: Path, **plan: Any) -> Any:
    """Replay with the same script, and return what it wrote."""
    machine = plan.pop("machine", {})
    path = out.with_suffix(".json")
    ReplayPlan(folder.path, out, **plan).write(path)
    monkeypatch.setenv(REPLAY, str(path))
    train(folder, **machine)
    monkeypatch.delenv(REPLAY)
    return json.loads((out / "report.json").read_text())


def test_a_loop_of_its_own_is_redone_before_it_is_live(tmp_path: Path, steered: RunFolder) -> None:
    recorded = [row.digest for row in read_metrics(steered.metrics)]
    for checkpoint in steered.checkpoints.iterdir():
        shutil.rmtree(checkpoint)
    train(steered, end=10)
    digests = [row.digest for row in read_metrics(steered.metrics)]
    assert digests[: len(recorded)] == recorded
    assert len(digests) == len(recorded) + 2
    session = [e for e in read_ledger(steered.ledger) if e.kind is EntryKind.SESSION][-1]
    assert session.body["redone_steps"] == len(recorded)


def test_while_steps_are_redone_the_run_recovers(tmp_path: Path, steered: RunFolder) -> None:
    for checkpoint in steered.checkpoints.iterdir():
        shutil.rmtree(checkpoint)
    trainer = build_fake_trainer(steered.config, steered.path)
    states = []
    with open_session(
        steered,
        trainer,
        open_source=World().connect,
        cadence=Cadence(end_step=9),
        clock=lambda: 0.0,
        warn=print,
    ) as session:
        assert session.recovery is None
        while session.cross():
            assert session.cross()
            states.append((session.status().state, session.status().branch, session.status().step))
            session.record(trainer.train_step())
    expected = [("recovering", "main", n) for n in range(6)]
    expected += [("recovering", "b", n) for n in range(3, 8)] + [("training", "b", 8)]
    assert states == expected


def test_the_server_is_told_from_the_first_redone_step_on(
    steered: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a run that takes long to be redone would look lost."""
    for checkpoint in steered.checkpoints.iterdir():
        shutil.rmtree(checkpoint)
    told = []

    class Told(loop.Link):
        def start(self, status: Callable[[], Status]) -> None:
            told.append(status())

    monkeypatch.setattr(loop, "Link", Told)
    train(steered, end=9)
    (status,) = told
    assert (status.state, status.branch, status.step) == ("recovering", "main", 0)


def test_an_end_that_is_asked_for_while_steps_are_redone_leaves_the_record(
    steered: RunFolder,
) -> None:
    for checkpoint in steered.checkpoints.iterdir():
        shutil.rmtree(checkpoint)
    before = steered.ledger.read_bytes(), steered.metrics.read_bytes()
    trainer = build_fake_trainer(steered.config, steered.path)
    with steer(steered.path, trainer) as boundary:
        for _ in range(2):
            assert boundary.cross()
            boundary.record(trainer.train_step())
        boundary.request_end()
        assert not boundary.cross()
        assert not boundary.cross()
        assert boundary.status().state == "stopped"
    assert (steered.ledger.read_bytes(), steered.metrics.read_bytes()) == before


def test_a_redone_step_of_its_own_that_differs_ends_the_loop(steered: RunFolder) -> None:
    for checkpoint in steered.checkpoints.iterdir():
        shutil.rmtree(checkpoint)
    steered.config.write_text(json.dumps({"seed": 4, "min_rows": 0}))
    with pytest.raises(Diverged, match="step 1 "):
        train(steered)


def test_the_same_script_replays_its_run(
    tmp_path: Path, steered: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = steered.ledger.read_bytes(), steered.metrics.read_bytes()
    found = report(monkeypatch, steered, tmp_path / "out")
    assert (found["steps"], found["identical"], found["first_divergence"]) == (11, 11, None)
    assert found["promise"] == "same_fingerprint"
    assert (steered.ledger.read_bytes(), steered.metrics.read_bytes()) == before


def test_a_ledger_that_was_changed_diverges_where_it_was(
    tmp_path: Path, steered: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = read_ledger(steered.ledger)
    moved = [e for e in entries if e.body.get("command", {}).get("command") != "update_optimizer"]
    assert len(moved) == len(entries) - 1
    changed = tmp_path / "changed.jsonl"
    export_ledger([type(e)(n, *_after_seq(e)) for n, e in enumerate(moved)], changed)
    found = report(monkeypatch, steered, tmp_path / "out", ledger=changed)
    assert found["first_divergence"]["step"] == 4
    assert found["first_divergence"]["field"] == "lr"
    assert (found["steps"], found["identical"]) == (11, 3)


def _after_seq(entry: Any) -> tuple[Any, ...]:
    return (entry.step, entry.branch, entry.kind, entry.wall_s, entry.body)


def test_on_another_machine_two_passes_are_compared(
    tmp_path: Path, steered: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = {"cpu": "another"}
    first = report(monkeypatch, steered, tmp_path / "first", machine=machine)
    assert (first["promise"], first["steps"], first["identical"]) == ("unchecked", 11, 0)
    rows = tmp_path / "first" / "metrics.jsonl"
    second = report(monkeypatch, steered, tmp_path / "out", machine=machine, first_pass=rows)
    assert (second["promise"], second["steps"], second["identical"]) == ("self", 11, 11)


def test_a_loop_that_ends_early_is_not_identical(tmp_path: Path, steered: RunFolder) -> None:
    trainer = build_fake_trainer(steered.config, steered.path)
    with open_replay(ReplayPlan(steered.path, tmp_path / "out"), trainer) as replaying:
        for _ in range(4):
            assert replaying.cross()
            replaying.record(trainer.train_step())
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (found["steps"], found["identical"]) == (11, 4)


def test_a_plan_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(tmp_path / "run")
    for text in (None, "{", '{"ran": "x"}', "[]"):
        path = tmp_path / "plan.json"
        if text is not None:
            path.write_text(text)
        monkeypatch.setenv(REPLAY, str(path))
        with pytest.raises(BadReplayPlan, match=r"plan\.json is no plan"):
            train(folder)
