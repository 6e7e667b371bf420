from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from crash_matrix import (
    FAILPOINTS,
    Killed,
    after_steps,
    interventions,
    kill_at_every_passage,
    numbers,
    rows,
)

from interactive.record import journal
from interactive.record.checkpoints import CheckpointLibrary
from interactive.record.journal import JournalCorrupt, seal, unseal
from interactive.record.ledger import EntryKind, read_ledger
from interactive.record.metrics import MetricsWriter
from interactive.record.run_folder import RunFolder
from interactive.replaying.replay import replay
from interactive.steering.boundary import Cadence
from interactive.steering.redo import Diverged
from interactive.steering.session import RunBusy, open_session
from tests.fakes import (
    FakeTrainer,
    World,
    build_fake_trainer,
    data_row,
    delivered,
    make_run,
    run_session,
)

CADENCE = Cadence(checkpoint_every=5, evaluate_every=7, keep_checkpoints=2, end_step=18)


def a_steered_world() -> World:
    """Data, a pause, a changed lr, a changed mixture, a branch and an evaluation."""
    return World(
        commands={
            ("main", 3): [delivered(1, {"command": "pause"})],
            ("main", 6): [
                delivered(4, {"command": "save_checkpoint"}),
                delivered(5, {"command": "update_mixture", "weights": {"base": 0.0}}),
            ],
            ("main", 9): [delivered(6, {"command": "evaluate"})],
            ("main", 11): [
                delivered(
                    7, {"command": "load_checkpoint", "checkpoint": "main-000006", "branch": "b"}
                ),
                delivered(8, {"command": "update_optimizer", "lr": 0.02}, at_step=9),
            ],
            ("b", 13): [delivered(9, {"command": "note", "text": "better"})],
        },
        rows={
            ("main", 0): [data_row(1, "base"), data_row(2, "base"), data_row(3, "live")],
            ("main", 4): [data_row(4, "live")],
            ("main", 10): [data_row(5, "live")],
        },
        while_held=[
            delivered(2, {"command": "update_optimizer", "lr": 0.03}),
            delivered(3, {"command": "resume"}),
        ],
    )


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies loses nothing that it wrote: only speed is lost by syncing."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(journal, "_fdatasync", lambda handle: None)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = make_run(tmp_path_factory.mktemp("undisturbed") / "run", min_rows=3)
    run_session(folder, a_steered_world(), cadence=CADENCE)
    assert {branch for branch, *_ in numbers(folder)} == {"main", "b"}
    assert len(interventions(folder)) == 9
    return folder


@pytest.mark.parametrize("name", FAILPOINTS)
def test_a_run_killed_anywhere_ends_as_if_it_had_not_been(
    name: str, tmp_path: Path, undisturbed: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each passage of the point is killed once, in a run of its own."""

    def check(folder: RunFolder) -> None:
        kinds = [e.kind for e in read_ledger(folder.ledger)]
        assert kinds.count(EntryKind.FAILURE) == 0
        assert kinds.count(EntryKind.EVALUATION) == 4
        for checkpoint in ("main-000006", "b-000018"):
            CheckpointLibrary(folder.checkpoints).verify(checkpoint)

    kill_at_every_passage(name, tmp_path, undisturbed, monkeypatch, a_steered_world, CADENCE, check)


def test_a_run_killed_at_every_step_replays_identically(
    tmp_path: Path, undisturbed: RunFolder
) -> None:
    folder, world = make_run(tmp_path / "run", min_rows=3), a_steered_world()
    for end in range(1, 19):
        cadence = Cadence(checkpoint_every=5, evaluate_every=7, keep_checkpoints=2, end_step=end)
        run_session(folder, world, cadence=cadence)
    run_session(folder, world, cadence=CADENCE)
    assert [r for r in numbers(folder) if r[0] == "main"] == [
        r for r in numbers(undisturbed) if r[0] == "main"
    ]
    assert replay(folder.path).is_identical


def test_a_crash_while_paused_stays_paused(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    world = World(commands={("main", 3): [delivered(1, {"command": "pause"})]})
    with pytest.raises(AssertionError, match="holds for ever"):
        run_session(folder, world, cadence=CADENCE)
    with pytest.raises(AssertionError, match="holds for ever"):
        run_session(folder, world, cadence=CADENCE)
    assert len(rows(folder)) == 3


def test_without_any_whole_checkpoint_the_run_is_redone_from_its_start(
    tmp_path: Path, undisturbed: RunFolder
) -> None:
    folder = make_run(tmp_path / "run", min_rows=3)
    world = a_steered_world()
    run_session(folder, world, cadence=CADENCE)
    for manifest in CheckpointLibrary(folder.checkpoints).manifests():
        (folder.checkpoints / manifest.id / "state.json").write_text("rotten")
    warnings: list[str] = []
    session = run_session(folder, world, cadence=CADENCE, warnings=warnings)
    assert session.recovery is not None
    assert session.recovery.base is None
    assert session.recovery.redone_steps == len(rows(undisturbed))
    assert any("b-000018: state.json has other bytes" in warning for warning in warnings)
    assert numbers(folder) == numbers(undisturbed)
    assert CheckpointLibrary(folder.checkpoints).is_whole("b-000018")


def test_a_base_whose_future_needs_a_lost_checkpoint_is_not_taken(tmp_path: Path) -> None:
    """The branch opens from the older checkpoint, which only an earlier start can make again."""
    folder = make_run(tmp_path / "run")
    save = {"command": "save_checkpoint"}
    load = {"command": "load_checkpoint", "checkpoint": "main-000003"}
    world = World(
        commands={
            ("main", 3): [delivered(1, save)],
            ("main", 5): [delivered(2, save)],
            ("main", 6): [delivered(3, load)],
        }
    )
    run_session(folder, world, cadence=Cadence(end_step=9))
    recorded = numbers(folder)
    for name in ("main-000003", "b1-000009"):
        shutil.rmtree(folder.checkpoints / name)
    session = run_session(folder, world, cadence=Cadence(end_step=9))
    assert session.recovery is not None
    assert session.recovery.base is None
    assert numbers(folder) == recorded
    assert CheckpointLibrary(folder.checkpoints).is_whole("main-000003")


def test_rows_that_a_power_cut_took_are_made_again(tmp_path: Path, undisturbed: RunFolder) -> None:
    folder, world = make_run(tmp_path / "run", min_rows=3), a_steered_world()
    run_session(folder, world, cadence=CADENCE)
    shutil.rmtree(folder.checkpoints / "b-000018")
    lines = folder.metrics.read_bytes().splitlines(keepends=True)
    folder.metrics.write_bytes(b"".join(lines[:-2]))
    run_session(folder, world, cadence=CADENCE)
    assert numbers(folder) == numbers(undisturbed)


def test_history_is_not_rewritten(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    run_session(folder, World(), cadence=Cadence(end_step=6))
    shutil.rmtree(folder.checkpoints / "main-000006")
    changed = [r.to_json() for r in rows(folder)]
    changed[3]["loss_bits"] = "0" * 16
    folder.metrics.write_bytes(b"".join(seal(row) for row in changed))
    before_bytes = folder.metrics.read_bytes()
    with pytest.raises(Diverged, match="step 4 of branch main: loss_bits"):
        run_session(folder, World(), cadence=Cadence(end_step=8))
    assert folder.metrics.read_bytes() == before_bytes


def test_an_entry_that_would_say_something_else_now_is_a_divergence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path / "run")
    change = delivered(1, {"command": "update_optimizer", "lr": 0.01})
    world = World(commands={("main", 4): [change]})
    with monkeypatch.context() as patched:
        patched.setattr(MetricsWriter, "append", after_steps(4, MetricsWriter.append))
        with pytest.raises(Killed):
            run_session(folder, world, cadence=Cadence(end_step=9))
    lines = folder.ledger.read_bytes().splitlines(keepends=True)
    last = unseal(lines[-1])
    assert last is not None
    assert last["effective"] == {"lr": 0.01}
    lines[-1] = seal({**last, "effective": {"lr": 0.02}})
    folder.ledger.write_bytes(b"".join(lines))
    with pytest.raises(Diverged, match="step 5 of branch main: effective"):
        run_session(folder, world, cadence=Cadence(end_step=9))


def test_on_another_machine_a_deviation_is_recorded_and_the_run_goes_on(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    run_session(folder, World(), cadence=Cadence(end_step=6))
    shutil.rmtree(folder.checkpoints / "main-000006")
    changed = [r.to_json() for r in rows(folder)]
    changed[3]["loss_bits"] = "0" * 16
    folder.metrics.write_bytes(b"".join(seal(row) for row in changed))
    trainer = build_fake_trainer(folder.config, folder.path)
    trainer.machine["cpu"] = "another"
    run_session(folder, World(), cadence=Cadence(end_step=8), trainer=trainer)
    session = [e for e in read_ledger(folder.ledger) if e.kind is EntryKind.SESSION][-1]
    assert session.body["determinism"] == "tolerance"
    assert session.body["deviation"]["step"] == 4
    assert [r.step for r in rows(folder)] == list(range(1, 9))


def test_an_evaluation_cut_short_twice_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path / "run")
    world = World(commands={("main", 2): [delivered(1, {"command": "evaluate"})]})

    def die(self: FakeTrainer, evaluation: str, branch: str) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(FakeTrainer, "evaluate", die)
        for _ in range(2):
            with pytest.raises(Killed):
                run_session(folder, world, cadence=Cadence(end_step=5))
        run_session(folder, world, cadence=Cadence(end_step=5))
    (failure,) = [e for e in read_ledger(folder.ledger) if e.kind is EntryKind.FAILURE]
    assert failure.body["code"] == "Interrupted"
    assert len(interventions(folder)) == 1


@pytest.mark.parametrize("verb", ["apply", "adopt"])
def test_the_last_entry_that_cannot_be_applied_after_a_crash_is_a_failure(
    tmp_path: Path, verb: str
) -> None:
    folder = make_run(tmp_path / "run")
    change = delivered(1, {"command": "update_optimizer", "lr": 0.01})
    arriving: dict[str, Any] = {
        "apply": {"commands": {("main", 2): [change]}},
        "adopt": {"rows": {("main", 2): [data_row(1)]}},
    }
    world = World(**arriving[verb])
    for error in (Killed(), OSError("no")):
        trainer = build_fake_trainer(folder.config, folder.path)
        trainer.failing[verb] = error
        with suppress(Killed):
            run_session(folder, world, cadence=Cadence(end_step=5), trainer=trainer)
    failures = [e for e in read_ledger(folder.ledger) if e.kind is EntryKind.FAILURE]
    assert {(failure.step, failure.body["hint"]) for failure in failures} == {(3, "no")}
    assert [(row.lr, row.mark) for row in rows(folder)] == [(0.05, 0)] * 5
    run_session(folder, World(), cadence=Cadence(end_step=7))
    assert {row.lr for row in rows(folder)} == {0.05}
    assert replay(folder.path).is_identical


def test_one_run_has_one_trainer(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with (
        open_session(
            folder,
            build_fake_trainer(folder.config, folder.path),
            open_source=World().connect,
            cadence=CADENCE,
            clock=lambda: 0.0,
            warn=print,
        ),
        pytest.raises(RunBusy, match="has a trainer already"),
    ):
        run_session(folder, World(), cadence=CADENCE)


def test_a_ledger_damaged_in_the_middle_is_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    run_session(folder, World(), cadence=Cadence(end_step=3, checkpoint_every=1))
    text = folder.ledger.read_bytes().replace(b'"seq":1', b'"seq":7', 1)
    folder.ledger.write_bytes(text)
    with pytest.raises(JournalCorrupt, match="line 2 is damaged"):
        run_session(folder, World(), cadence=Cadence(end_step=5))
