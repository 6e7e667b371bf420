"""Runs under random commands, killed at random points: as if they had not been, and replayed."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from boundary_runs import failures
from crash_matrix import FAILPOINTS, Killed, interventions, killed_at, numbers

from interactive.record import journal
from interactive.record.run_folder import RunFolder
from interactive.replaying.replay import replay
from interactive.steering.boundary import Cadence
from tests.fakes import World, data_row, delivered, make_run, run_session, withdrawal_row

CADENCE = Cadence(checkpoint_every=5, evaluate_every=4, keep_checkpoints=2, end_step=12)
COMMANDS = 12
KILLS = 8


def a_command(draw: random.Random) -> dict[str, Any]:
    """Return a command of any kind; some of them are refused."""
    flag = {"command": "update_setting", "setting": "clipped", "value": draw.random() < 0.5}
    operation = draw.choice(["reset_parameters", "freeze", "unfreeze"])
    replaced = draw.choice(["linear", "constant", "spiral"])
    base = draw.choice(["main-000003", "main-000005", "b1-000006"])
    lr = {"command": "update_optimizer", "lr": draw.choice([0.01, 0.02, 3.0])}
    kinds: list[dict[str, Any]] = [
        lr,
        {
            "command": "replace_schedule",
            "schedule": replaced,
            "arguments": {"num_training_steps": draw.randint(1, 9)},
        },
        {"command": "scale_schedule", "factor": draw.choice([0.5, 2.0])},
        {"command": "update_mixture", "weights": {"base": draw.choice([0.0, 1.0])}},
        {"command": "update_mixture", "drop": ["live"]},
        {"command": "update_setting", "setting": "noise", "value": draw.random()},
        {"command": "module_operation", "operation": operation, "module": "first"},
        {"command": "update_dataset", "attach": "extra"},
        {"command": "batch", "commands": [flag, lr]},
        {"command": "pause"},
        {"command": "step", "steps": draw.randint(1, 4)},
        {"command": "resume"},
        {"command": "evaluate"},
        {"command": "save_checkpoint"},
        {"command": "load_checkpoint", "checkpoint": base},
        {"command": "note", "text": "seen"},
    ]
    return draw.choice(kinds)


def a_moment(draw: random.Random) -> dict[str, Any]:
    """Return what an envelope says of when; mostly nothing."""
    moment: dict[str, Any] = {}
    if draw.random() < 0.3:
        moment["at_step"] = draw.randint(2, 14)
    elif draw.random() < 0.2:
        moment["after_evaluation"] = True
    if draw.random() < 0.2:
        moment["branch"] = draw.choice(["main", "b1", "b2"])
    if draw.random() < 0.2:
        moment["supersedes"] = UUID(int=draw.randint(1, COMMANDS))
    if draw.random() < 0.2:
        moment["expires_at_step"] = draw.randint(2, 14)
    if draw.random() < 0.1:
        moment["if_generation"] = draw.randint(0, 5)
    return moment


def a_random_world(seed: int) -> World:
    draw = random.Random(seed)
    world = World(
        rows={
            ("main", 0): [data_row(1, "base"), data_row(2, "base"), data_row(3, "live")],
            ("main", 4): [data_row(4, "live"), withdrawal_row(5, 2)],
        },
        while_held=[delivered(100 + n, {"command": "resume"}) for n in range(30)],
    )
    for number in range(1, COMMANDS + 1):
        place = (draw.choice(["main", "main", "main", "b1"]), draw.randint(0, 11))
        one = delivered(number, a_command(draw), **a_moment(draw))
        world.commands.setdefault(place, []).append(one)
    return world


def kill_at_random(
    folder: RunFolder, seed: int, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, int]]:
    """Train to the end through some kills, and return where these were."""
    draw, world, kills = random.Random(seed), a_random_world(seed), []
    for _ in range(KILLS):
        name, passage = draw.choice(sorted(FAILPOINTS)), draw.randint(1, 25)
        owner, method, kill = FAILPOINTS[name]
        original = getattr(owner, method)
        with monkeypatch.context() as patched:
            patched.setattr(owner, method, killed_at(passage, original, kill))
            try:
                run_session(folder, world, cadence=CADENCE)
                return kills
            except Killed:
                kills.append((name, passage))
    run_session(folder, world, cadence=CADENCE)
    return kills


def check(seed: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, killed = make_run(path / "whole", min_rows=3), make_run(path / "killed", min_rows=3)
    run_session(whole, a_random_world(seed), cadence=CADENCE)
    assert replay(whole.path).is_identical
    kills = kill_at_random(killed, seed, monkeypatch)
    given_up = failures(killed)
    assert {entry.body["code"] for entry in given_up} <= {"Interrupted"}, kills
    if not given_up:
        assert numbers(killed) == numbers(whole), kills
        assert interventions(killed) == interventions(whole), kills
    assert replay(killed.path).is_identical, kills


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies loses nothing that it wrote: only speed is lost by syncing."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(journal, "_fdatasync", lambda handle: None)


@pytest.mark.parametrize("seed", range(12))
def test_a_run_killed_at_random_ends_as_if_it_had_not_been(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(seed, tmp_path, monkeypatch)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(12, 500))
def test_many_runs_killed_at_random_end_as_if_they_had_not_been(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(seed, tmp_path, monkeypatch)
