"""When a command takes effect: its branch, evaluations, commands that take others back, steps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from boundary_runs import EVALUATE, LR, NOTE, PAUSE, RESUME, SAVE, STOP, at, rows, steer
from boundary_runs import interventions as entries_of
from crash_matrix import FAILPOINTS, interventions, kill_at_every_passage, numbers

from interactive.commands import Envelope, Pause
from interactive.outcome import CommandState
from interactive.record import journal
from interactive.record.branch import RunState
from interactive.record.ledger import EntryKind, read_ledger
from interactive.record.run_folder import RunFolder
from interactive.replaying.replay import replay
from interactive.server.heartbeat import Heartbeat
from interactive.server.heartbeat import RunState as ServedState
from interactive.server.state import FoldedRun
from interactive.steering.boundary import Cadence
from tests.fakes import World, data_row, delivered, make_run, run_session

LOAD = {"command": "load_checkpoint", "checkpoint": "main-000003", "branch": "b"}


def step(steps: int) -> dict[str, Any]:
    return {"command": "step", "steps": steps}


def lr(value: float) -> dict[str, Any]:
    return {"command": "update_optimizer", "lr": value}


def outcomes(folder: RunFolder) -> list[tuple[int, str, int, str]]:
    return [(e.body["inbox_seq"], e.branch, e.step, e.body["state"]) for e in entries_of(folder)]


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies loses nothing that it wrote: only speed is lost by syncing."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(journal, "_fdatasync", lambda handle: None)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run")


def test_a_command_waits_for_its_branch(folder: RunFolder) -> None:
    world = at(
        3,
        delivered(1, LR, branch="b"),
        delivered(2, lr(0.02), branch="b", at_step=6),
        delivered(3, NOTE, branch="main", at_step=5),
        delivered(4, SAVE),
    )
    world.commands[("main", 5)] = [delivered(5, LOAD)]
    steer(folder, world)
    assert outcomes(folder) == [
        (4, "main", 4, "applied"),
        (3, "main", 5, "applied"),
        (5, "main", 6, "applied"),
        (1, "b", 4, "applied"),
        (2, "b", 6, "applied"),
    ]
    assert replay(folder.path).is_identical


def test_a_branch_that_was_left_is_waited_for_no_more(folder: RunFolder) -> None:
    world = at(3, delivered(1, SAVE), delivered(2, NOTE, branch="main", at_step=7))
    world.commands[("main", 5)] = [delivered(3, LOAD)]
    steer(folder, world)
    left = entries_of(folder)[-1].body
    assert (left["inbox_seq"], left["state"], left["code"]) == (2, "rejected", "step_passed")
    assert left["hint"] == "the run has left branch main, and is on b"


def test_a_command_waits_for_the_next_evaluation(folder: RunFolder) -> None:
    world = at(
        2,
        delivered(1, LR, after_evaluation=True),
        delivered(2, NOTE, after_evaluation=True, expires_at_step=4),
        delivered(3, NOTE, after_evaluation=True, expires_at_step=6),
    )
    steer(folder, world, evaluate_every=5)
    assert outcomes(folder) == [
        (2, "main", 5, "expired"),
        (1, "main", 6, "applied"),
        (3, "main", 6, "applied"),
    ]
    kinds = [e.kind for e in read_ledger(folder.ledger)]
    assert kinds.index(EntryKind.EVALUATION) < len(kinds) - 1 - kinds[::-1].index(
        EntryKind.INTERVENTION
    )


def test_an_evaluation_that_was_asked_for_counts(folder: RunFolder) -> None:
    steer(folder, at(2, delivered(1, LR, after_evaluation=True), delivered(2, EVALUATE)))
    assert outcomes(folder) == [(2, "main", 3, "applied"), (1, "main", 3, "applied")]


def test_a_command_takes_back_one_that_waits(folder: RunFolder) -> None:
    world = at(
        2,
        delivered(1, lr(0.01), at_step=6),
        delivered(2, lr(0.02), at_step=7, supersedes=UUID(int=1)),
    )
    steer(folder, world)
    assert outcomes(folder) == [(1, "main", 3, "superseded"), (2, "main", 7, "applied")]
    taken_back, applied = (entry.body for entry in entries_of(folder))
    assert taken_back["superseded_by"] == applied["command_id"] == str(UUID(int=2))
    assert (taken_back["code"], applied["supersedes"]) == ("superseded", str(UUID(int=1)))
    assert [row.lr for row in rows(folder)] == [0.05] * 6 + [0.02] * 2
    assert replay(folder.path).is_identical


def test_the_server_tells_that_a_command_was_taken_back(folder: RunFolder) -> None:
    world = at(2, delivered(1, NOTE, at_step=6), delivered(2, NOTE, supersedes=UUID(int=1)))
    steer(folder, world)
    run = FoldedRun(started_s=0.0)
    for entry in read_ledger(folder.ledger):
        run.add_entry(entry)
    outcome = run.final_outcome(str(UUID(int=1)))
    assert outcome is not None
    assert (outcome.state, outcome.code) == (CommandState.SUPERSEDED, "superseded")
    assert str(UUID(int=2)) in (outcome.hint or "")
    run.hear(Heartbeat(state=ServedState.RECOVERING, branch="main", step=2), 0.0)
    assert run.state(1.0) is ServedState.RECOVERING


def test_what_is_done_cannot_be_taken_back(folder: RunFolder) -> None:
    first, third, own = UUID(int=1), UUID(int=3), UUID(int=6)
    world = at(
        2,
        delivered(1, LR),
        delivered(2, NOTE, supersedes=first),
        delivered(3, NOTE, at_step=8),
        delivered(4, NOTE, supersedes=third),
        delivered(5, NOTE, supersedes=third),
        delivered(6, NOTE, supersedes=own),
        delivered(7, NOTE, supersedes=UUID(int=99)),
    )
    steer(folder, world)
    codes = [(e.body["inbox_seq"], e.body["state"], e.body.get("code")) for e in entries_of(folder)]
    assert codes == [
        (1, "applied", None),
        (2, "rejected", "superseded"),
        (3, "superseded", "superseded"),
        (4, "applied", None),
        (5, "rejected", "superseded"),
        (6, "rejected", "malformed"),
        (7, "applied", None),
    ]
    assert "already applied" in entries_of(folder)[1].body["hint"]


def test_a_command_that_comes_after_the_one_that_took_it_back_is_not_applied(
    folder: RunFolder,
) -> None:
    """One that waited for an approval is delivered later than one that was sent after it."""
    world = at(2, delivered(1, NOTE, supersedes=UUID(int=2)))
    world.commands[("main", 4)] = [delivered(2, LR)]
    steer(folder, world)
    assert outcomes(folder) == [(1, "main", 3, "applied"), (2, "main", 5, "superseded")]


def test_a_command_that_is_refused_takes_nothing_back(folder: RunFolder) -> None:
    world = at(
        2,
        delivered(1, LR, at_step=6),
        delivered(2, NOTE, supersedes=UUID(int=1), if_generation=7),
    )
    steer(folder, world)
    assert outcomes(folder) == [(2, "main", 3, "rejected"), (1, "main", 6, "applied")]


def test_a_run_steps_and_pauses_again(folder: RunFolder) -> None:
    world = at(2, delivered(1, PAUSE))
    world.while_held = [delivered(2, step(2)), delivered(3, step(1)), delivered(4, RESUME)]
    steer(folder, world)
    assert [(number, at_step) for number, _, at_step, _ in outcomes(folder)] == [
        (1, 3),
        (2, 3),
        (3, 5),
        (4, 6),
    ]
    stepped = entries_of(folder)[1].body
    assert stepped["old"] == {"paused": True}
    assert stepped["effective"] == {"paused": False, "pause_after": 4}
    assert entries_of(folder)[3].body["old"] == {"paused": True}
    assert replay(folder.path).is_identical


@pytest.mark.parametrize("command", [RESUME, PAUSE, STOP, step(1)])
def test_another_word_about_pausing_ends_the_stepping(
    folder: RunFolder, command: dict[str, Any]
) -> None:
    world = at(2, delivered(1, step(4)))
    world.commands[("main", 3)] = [delivered(2, command)]
    world.while_held = [delivered(3, RESUME)]
    steer(folder, world)
    state = RunState.of(read_ledger(folder.ledger))
    assert (state.paused, state.pause_after) == (False, None)
    resumed = [entry for entry in entries_of(folder) if entry.body["inbox_seq"] == 3]
    expected = {"resume": [], "stop": [], "pause": [4], "step": [5]}[command["command"]]
    assert [entry.step for entry in resumed] == expected


def test_a_branch_that_is_opened_while_a_run_is_held_is_held(folder: RunFolder) -> None:
    world = at(3, delivered(1, SAVE), delivered(2, step(2)))
    world.while_held = [delivered(3, LOAD), delivered(4, RESUME)]
    steer(folder, world, end=6)
    assert outcomes(folder)[2:] == [(3, "main", 6, "applied"), (4, "b", 4, "applied")]


def test_a_branch_that_is_opened_while_a_run_steps_goes_on(folder: RunFolder) -> None:
    world = at(3, delivered(1, SAVE), delivered(2, step(5)))
    world.commands[("main", 5)] = [delivered(3, LOAD)]
    steer(folder, world, end=12)
    assert rows(folder)[-1].step == 12


def test_a_run_that_dies_while_it_steps_pauses_where_it_should(folder: RunFolder) -> None:
    world = at(2, delivered(1, step(4)))
    for end, steps in ((3, 3), (None, 6), (None, 6)):
        if end is not None:
            run_session(folder, world, cadence=Cadence(end_step=end))
        else:
            with pytest.raises(AssertionError, match="holds for ever"):
                run_session(folder, world, cadence=Cadence())
        assert len(rows(folder)) == steps


def test_a_run_that_was_left_alone_while_it_was_paused_goes_on(folder: RunFolder) -> None:
    world = at(3, delivered(1, PAUSE))
    world.is_away = True
    steer(folder, world, resume_alone_s=1.0)
    _, resumed = entries_of(folder)
    assert (resumed.step, resumed.body["command"]) == (4, {"command": "resume"})
    assert resumed.body["issuer"] == {"name": "trainer", "kind": "script"}
    assert "without its server for 1 s" in resumed.body["reason"]
    assert len(rows(folder)) == 8
    assert replay(folder.path).is_identical


@pytest.mark.parametrize(("is_away", "alone_s"), [(False, 1.0), (True, None), (True, 1000.0)])
def test_a_run_that_is_paused_holds_otherwise(
    folder: RunFolder, is_away: bool, alone_s: float | None
) -> None:
    world = at(3, delivered(1, PAUSE))
    world.is_away = is_away
    with pytest.raises(AssertionError, match="holds for ever"):
        steer(folder, world, resume_alone_s=alone_s)


def a_world_of_moments() -> World:
    """Commands of every moment, such as a run that is killed must not mistake."""
    batch = {
        "command": "batch",
        "commands": [{"command": "update_setting", "setting": "noise", "value": 0.3}, lr(0.02)],
    }
    reset = {"command": "module_operation", "operation": "reset_parameters", "module": "first"}
    return World(
        commands={
            ("main", 1): [
                delivered(1, lr(0.03), after_evaluation=True),
                delivered(2, reset, branch="b", at_step=6),
                delivered(3, NOTE, at_step=9),
            ],
            ("main", 2): [delivered(4, step(1))],
            ("main", 4): [
                delivered(6, batch, at_step=5, supersedes=UUID(int=3)),
                delivered(7, {**LOAD, "checkpoint": "main-000003"}, at_step=6),
            ],
            ("b", 7): [delivered(8, NOTE, branch="main")],
        },
        rows={("main", 0): [data_row(1, "base"), data_row(2, "base"), data_row(3, "live")]},
        while_held=[delivered(5, {"command": "save_checkpoint"}), delivered(9, RESUME)],
    )


MOMENTS = Cadence(evaluate_every=2, end_step=9)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = make_run(tmp_path_factory.mktemp("undisturbed") / "run", min_rows=3)
    run_session(folder, a_world_of_moments(), cadence=MOMENTS)
    states = [state for *_, state, _ in interventions(folder)]
    assert sorted(states) == ["applied"] * 7 + ["rejected", "superseded"]
    assert {branch for branch, *_ in numbers(folder)} == {"main", "b"}
    assert replay(folder.path).is_identical
    return folder


@pytest.mark.parametrize("name", sorted(set(FAILPOINTS) - {"in pruning"}))
def test_a_run_killed_at_any_moment_keeps_its_commands_moments(
    name: str, tmp_path: Path, undisturbed: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(folder: RunFolder) -> None:
        kinds = [entry.kind for entry in read_ledger(folder.ledger)]
        assert kinds.count(EntryKind.FAILURE) == 0

    kill_at_every_passage(
        name, tmp_path, undisturbed, monkeypatch, a_world_of_moments, MOMENTS, check
    )


def test_an_envelope_names_one_moment() -> None:
    with pytest.raises(ValueError, match="not both"):
        Envelope(command_id=UUID(int=1), command=Pause(), at_step=3, after_evaluation=True)
