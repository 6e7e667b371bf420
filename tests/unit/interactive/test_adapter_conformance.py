"""What every adapter promises, held against each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from interactive.record.ledger import Entry, EntryKind, export_ledger, read_ledger
from interactive.record.metrics import COMPARED, MetricsRow, read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.own_loop import REPLAY, ReplayPlan
from interactive.steering.source import Delivered
from tests.fakes import World, delivered
from tests.unit.interactive.adapter_loops import (
    LOOPS,
    PLANNED,
    TORCH_LOOPS,
    Loop,
    Session,
    crash_and_resume,
)
from tests.unit.interactive.frozen_heap import frozen_heap  # noqa: F401

LR = {"command": "update_optimizer", "lr": 0.003}
SAVE = {"command": "save_checkpoint"}
LOAD = {"command": "load_checkpoint", "checkpoint": "main-000003", "branch": "b1"}
RESET = {"command": "module_operation", "operation": "reset_parameters", "module": "head"}
DROPOUT = {"command": "update_setting", "setting": "dropout", "value": 0.5}
EVALUATE = {"command": "evaluate", "evaluation": "evaluate"}

every_loop = pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
torch_loop = pytest.mark.parametrize("loop", TORCH_LOOPS.values(), ids=TORCH_LOOPS)


def world(*commands: tuple[int, Mapping[str, Any]], held: Sequence[Any] = ()) -> World:
    """Commands before their steps, all there from the start; ``held`` come while it is paused."""
    arrived = [delivered(n, c, at_step=step) for n, (step, c) in enumerate(commands, 1)]
    later = [delivered(100 + n, c) for n, c in enumerate(held)]
    return World(arrived=arrived, while_held=later)


def train(loop: Loop, run_dir: Path, world: World, **session: Any) -> None:
    loop(Session(run_dir, world, end_step=session.pop("end_step", PLANNED), **session))


def rows(run_dir: Path, branch: str | None = None) -> list[MetricsRow]:
    found = list(read_metrics(RunFolder(run_dir).metrics))
    return [row for row in found if branch in (None, row.branch)]


def bits(run_dir: Path, branch: str | None = None, *, but: Sequence[str] = ()) -> list[Any]:
    """What the steps did, exactly; ``entries`` also counts sessions, which differ by nature."""
    compared = [field for field in COMPARED if field not in (*but, "entries")]
    return [
        [row.step, *(getattr(row, field) for field in compared)] for row in rows(run_dir, branch)
    ]


def entries(run_dir: Path, kind: EntryKind = EntryKind.INTERVENTION) -> list[Entry]:
    return [entry for entry in read_ledger(RunFolder(run_dir).ledger) if entry.kind is kind]


def states(run_dir: Path) -> list[str]:
    return [entry.body["state"] for entry in entries(run_dir)]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def full_world() -> World:
    """Interventions of every kind that a torch loop takes, and a branch."""
    return world(
        (2, {"command": "scale_schedule", "factor": 0.5}),
        (3, DROPOUT),
        (4, SAVE),
        (5, RESET),
        (5, EVALUATE),
        (6, LR),
        (7, LOAD),
    )


def little_world() -> World:
    return world((2, LR), (4, SAVE), (7, LOAD))


def world_of(loop: Loop) -> World:
    return full_world() if loop in TORCH_LOOPS.values() else little_world()


def replay(
    monkeypatch: pytest.MonkeyPatch, loop: Loop, run_dir: Path, ledger: Path | None = None
) -> dict[str, Any]:
    """Replay with the same script, as the environment tells it to."""
    out = run_dir.parent / "replayed"
    plan = run_dir.parent / "plan.json"
    ReplayPlan(run_dir, out, ledger=ledger).write(plan)
    monkeypatch.setenv(REPLAY, str(plan))
    train(loop, run_dir, World())
    monkeypatch.delenv(REPLAY)
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


@every_loop
def test_a_learning_rate_is_in_the_row_of_its_step(loop: Loop, tmp_path: Path) -> None:
    train(loop, tmp_path / "bare", World())
    train(loop, tmp_path / "run", world((4, LR)))
    bare, steered = rows(tmp_path / "bare"), rows(tmp_path / "run")
    assert [row.lr for row in steered[:3]] == [row.lr for row in bare[:3]]
    assert [row.lr for row in steered[3:]] == [LR["lr"]] * (PLANNED - 3)
    assert bits(tmp_path / "run")[:3] == bits(tmp_path / "bare")[:3]
    # The step's loss is from before its update: the rate shows in the parameters first.
    assert steered[3].loss_bits == bare[3].loss_bits
    assert steered[3].digest != bare[3].digest


@torch_loop
def test_a_scaled_schedule_gives_the_scaled_rate_from_its_step(loop: Loop, tmp_path: Path) -> None:
    train(loop, tmp_path / "bare", World())
    train(loop, tmp_path / "run", world((4, {"command": "scale_schedule", "factor": 0.5})))
    bare = [row.lr for row in rows(tmp_path / "bare")]
    assert [row.lr for row in rows(tmp_path / "run")] == bare[:3] + [0.5 * lr for lr in bare[3:]]


@torch_loop
def test_a_replaced_schedule_counts_from_its_step(loop: Loop, tmp_path: Path) -> None:
    arguments = {"step_size": 2, "gamma": 0.1}
    command = {"command": "replace_schedule", "schedule": "StepLR", "arguments": arguments}
    train(loop, tmp_path / "run", world((4, {**command, "lr": 0.01})))
    found = [row.lr for row in rows(tmp_path / "run")][3:]
    assert found == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001], rel=1e-12)


@every_loop
def test_a_paused_run_is_the_run(loop: Loop, tmp_path: Path) -> None:
    train(loop, tmp_path / "bare", World())
    held = [{"command": "note", "text": "held"}, {"command": "step", "steps": 2}]
    train(
        loop,
        tmp_path / "run",
        world((3, {"command": "pause"}), held=[*held, {"command": "resume"}]),
    )
    assert states(tmp_path / "run") == ["applied"] * 4
    assert [entry.step for entry in entries(tmp_path / "run")] == [3, 3, 3, 5]
    assert bits(tmp_path / "run") == bits(tmp_path / "bare")


@torch_loop
def test_a_setting_and_a_module_operation_take_effect_at_their_step(
    loop: Loop, tmp_path: Path
) -> None:
    train(loop, tmp_path / "bare", World())
    train(loop, tmp_path / "set", world((4, DROPOUT)))
    train(loop, tmp_path / "reset", world((4, RESET)))
    bare = rows(tmp_path / "bare")
    for name in ("set", "reset"):
        steered = rows(tmp_path / name)
        assert states(tmp_path / name) == ["applied"]
        assert bits(tmp_path / name)[:3] == bits(tmp_path / "bare")[:3]
        assert steered[3].loss_bits != bare[3].loss_bits


@every_loop
def test_an_evaluation_does_not_shift_the_training(loop: Loop, tmp_path: Path) -> None:
    name = "evaluate" if loop in TORCH_LOOPS.values() else "rollout"
    train(loop, tmp_path / "bare", World())
    asked = {"command": "evaluate", "evaluation": name}
    train(loop, tmp_path / "run", world((3, asked), (7, asked)))
    made = entries(tmp_path / "run", EntryKind.EVALUATION)
    assert [entry.step for entry in made] == [3, 7]
    assert all(entry.body["measures"] for entry in made)
    assert bits(tmp_path / "run") == bits(tmp_path / "bare")


@every_loop
def test_a_branch_begins_as_its_parent_went_on_and_leaves_it_alone(
    loop: Loop, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    train(loop, folder.path, world((4, SAVE)), end_step=6)
    parent = files(folder.checkpoints / "main-000003")
    train(loop, folder.path, world((4, SAVE), (7, LOAD), (8, LR)))
    main, branch = bits(folder.path, "main"), bits(folder.path, "b1")
    assert [row[0] for row in branch] == [4, 5, 6, 7, 8]
    assert branch[:3] == main[3:6]
    assert [row.lr for row in rows(folder.path, "b1")][-1] == LR["lr"]
    assert files(folder.checkpoints / "main-000003") == parent


@every_loop
def test_a_branch_may_begin_at_the_end_of_a_pass_and_be_opened_at_the_end_of_the_run(
    loop: Loop, tmp_path: Path
) -> None:
    load = {"command": "load_checkpoint", "checkpoint": "main-000006", "branch": "b1"}
    train(loop, tmp_path / "run", world((7, SAVE), (PLANNED + 1, load)))
    assert states(tmp_path / "run") == ["applied"] * 2
    assert bits(tmp_path / "run", "b1") == bits(tmp_path / "run", "main")[6:]


@every_loop
def test_changes_after_a_load_at_the_same_boundary_survive(loop: Loop, tmp_path: Path) -> None:
    apart, together = tmp_path / "apart", tmp_path / "together"
    at_4 = delivered(9, LR, at_step=4, branch="b1")
    first = world((4, SAVE), (7, LOAD))
    train(loop, together, World(arrived=[*first.arrived, at_4]))
    assert states(together) == ["applied"] * 3
    assert [row.lr for row in rows(together, "b1")] == [LR["lr"]] * 5
    train(loop, apart, first)
    assert bits(together, "main") == bits(apart, "main")
    assert rows(together, "b1")[0].loss_bits == rows(apart, "b1")[0].loss_bits


@every_loop
@pytest.mark.parametrize("crashes", [(5,), (0, 3, 0), (9,), (4, 4, 1)], ids=str)
def test_a_crashed_run_is_the_run(loop: Loop, tmp_path: Path, crashes: tuple[int, ...]) -> None:
    whole = Session(tmp_path / "whole", world_of(loop), end_step=PLANNED, checkpoint_every=2)
    loop(whole)
    broken = Session(tmp_path / "broken", world_of(loop), end_step=PLANNED, checkpoint_every=2)
    crash_and_resume(loop, broken, *crashes)
    assert bits(broken.run_dir) == bits(whole.run_dir)
    assert states(broken.run_dir) == states(whole.run_dir)


@every_loop
def test_a_stopped_run_goes_on_as_if_it_had_not_been(loop: Loop, tmp_path: Path) -> None:
    train(loop, tmp_path / "whole", World())
    commands = world((4, {"command": "stop"}), (7, {"command": "stop"}))
    for made in (3, 6, PLANNED):
        train(loop, tmp_path / "run", commands)
        assert len(rows(tmp_path / "run")) == made
    assert bits(tmp_path / "run") == bits(tmp_path / "whole")


@every_loop
def test_a_replay_makes_every_step_again(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_and_resume(loop, Session(tmp_path / "run", world_of(loop), end_step=PLANNED), 4)
    before = files(tmp_path / "run")
    report = replay(monkeypatch, loop, tmp_path / "run")
    assert (report["identical"], report["steps"]) == (len(rows(tmp_path / "run")),) * 2
    assert report["promise"] == "same_fingerprint"
    assert report["first_divergence"] is None
    assert files(tmp_path / "run") == before


@every_loop
def test_a_shifted_intervention_is_found_at_its_step(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(loop, tmp_path / "run", world((5, LR)))
    shifted = [
        Entry(**{**asdict(e), "step": e.step + (e.kind is EntryKind.INTERVENTION)})
        for e in read_ledger(RunFolder(tmp_path / "run").ledger)
    ]
    export_ledger(shifted, tmp_path / "shifted.jsonl")
    report = replay(monkeypatch, loop, tmp_path / "run", tmp_path / "shifted.jsonl")
    assert report["first_divergence"]["step"] == 5
    assert report["identical"] == 4


HOSTILE: list[dict[str, Any]] = [
    {"command": "load_checkpoint", "checkpoint": "nothing"},
    {"command": "load_checkpoint", "checkpoint": "main-000003", "branch": "main"},
    {"command": "evaluate", "evaluation": "nothing"},
    {"command": "update_setting", "setting": "nothing", "value": 1},
    {"command": "update_setting", "setting": "dropout", "value": 7.0},
    {"command": "update_setting", "setting": "dropout", "value": "much"},
    {"command": "module_operation", "operation": "explode", "module": "head"},
    {"command": "module_operation", "operation": "reset_parameters", "module": "nothing"},
    {"command": "replace_schedule", "schedule": "Nothing"},
    {"command": "replace_schedule", "schedule": "StepLR", "arguments": {"gamma": "x"}},
    {"command": "update_mixture", "weights": {"nothing": 1.0}},
    {"command": "update_dataset", "attach": "nothing"},
    {"command": "update_optimizer", "lr": 0.1, "group": 7},
    {"command": "update_optimizer", "eps": 1e-3, "group": "nothing"},
]


@every_loop
def test_what_is_refused_changes_nothing_and_stops_nothing(loop: Loop, tmp_path: Path) -> None:
    train(loop, tmp_path / "bare", World())
    hostile = HOSTILE if loop in TORCH_LOOPS.values() else HOSTILE[:-5]
    commands = world(*[(2 + n % 5, command) for n, command in enumerate(hostile)])
    commands.arrived.append(
        Delivered(99, commands.arrived[0].issuer, "no-command", None, "command: no such thing")
    )
    train(loop, tmp_path / "run", commands)
    refused = [entry.body for entry in entries(tmp_path / "run")]
    assert [body["state"] for body in refused] == ["rejected"] * (len(hostile) + 1)
    assert all(body["code"] and body["hint"] for body in refused)
    assert bits(tmp_path / "run") == bits(tmp_path / "bare")
