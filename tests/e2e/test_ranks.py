"""Two ranks are steered as one: alike at every step, through a long pause, and after a crash."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from interactive.record.ledger import Entry, EntryKind, read_ledger
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder, RunInfo
from interactive.replaying.own_loop import REPLAY, ReplayPlan

ROOT = Path(__file__).parents[2]
SCRIPT = "tests.ranked_run"
PATIENCE_S = 120.0
TIMEOUT_S, HOLD_S = 3.0, 6.5
"""A pause of more than twice the time after which a silent rank is taken for dead."""
STEPS = 200


def at(step: int, command: dict[str, Any], branch: str = "main") -> dict[str, Any]:
    """A command that arrives early enough to be applied before a step."""
    return {
        "at": max(0, step - 6),
        "branch": branch,
        "command": command,
        "envelope": {"at_step": step},
    }


def setting(name: str, value: float) -> dict[str, Any]:
    return {"command": "update_setting", "setting": name, "value": value}


def module(operation: str, name: str) -> dict[str, Any]:
    return {"command": "module_operation", "operation": operation, "module": name}


COMMANDS: list[dict[str, Any]] = [
    at(12, {"command": "update_optimizer", "lr": 0.005}),
    at(20, setting("noise", 0.3)),
    at(24, setting("narrow", 0.7)),
    at(26, setting("broken", 0.7)),
    at(30, {"command": "pause"}),
    {"at": None, "command": {"command": "note", "text": "served while held"}},
    {"at": None, "command": {"command": "resume"}},
    at(40, module("reset_parameters", "2")),
    at(50, module("freeze", "0")),
    at(60, module("unfreeze", "0")),
    at(
        65,
        {
            "command": "replace_schedule",
            "schedule": "linear",
            "lr": 0.01,
            "arguments": {"num_warmup_steps": 5, "num_training_steps": 100},
        },
    ),
    at(70, {"command": "scale_schedule", "factor": 0.5}),
    at(75, {"command": "evaluate", "evaluation": "rollout"}),
    at(80, {"command": "save_checkpoint"}),
    at(90, {"command": "load_checkpoint", "checkpoint": "main-000050"}),
    at(66, {"command": "update_optimizer", "weight_decay": 0.1}, branch="b1"),
]
REFUSED, FAILED = 2, 3
"""Where among the commands one is refused, and one fails."""


@dataclass
class Ended:
    """How the ranks ended, by rank, and what each printed."""

    statuses: list[int] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)


def new_run(path: Path) -> RunFolder:
    info = RunInfo(entry_point="", seed=5, code_version="test")
    return RunFolder.create(path, config="", info=info)


def train(
    run: RunFolder,
    *words: str,
    commands: list[dict[str, Any]] = COMMANDS,
    world_size: int = 2,
    hold_s: float = 0.0,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Start the ranks by themselves, so that nobody ends one when another has died."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-m", SCRIPT, *arguments(run, commands, hold_s), *words]
    processes = [
        subprocess.Popen(
            command,
            env={**environment(), **common, **(env or {}), "RANK": str(rank)},
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world_size)
    ]
    ended = Ended()
    try:
        for process in processes:
            ended.printed.append(process.communicate(timeout=PATIENCE_S)[1])
            ended.statuses.append(process.returncode)
    finally:
        for process in processes:
            process.kill()
    return ended


def arguments(run: RunFolder, commands: list[dict[str, Any]], hold_s: float) -> list[str]:
    file = run.path / "commands.json"
    file.write_text(json.dumps(commands))
    return [str(run.path), str(file), "--timeout", str(TIMEOUT_S), "--hold", str(hold_s)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def steps_of(run: RunFolder, rank: int) -> list[str]:
    return (run.path / f"digests-{rank}.txt").read_text().splitlines()


def interventions(run: RunFolder) -> list[Entry]:
    return [entry for entry in read_ledger(run.ledger) if entry.kind is EntryKind.INTERVENTION]


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run under torchrun, through all commands and a pause longer than the time-out."""
    run = new_run(tmp_path_factory.mktemp("ranks") / "run")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc-per-node", "2", "-m", SCRIPT, *arguments(run, COMMANDS, HOLD_S)]
    subprocess.run(command, env=environment(), cwd=ROOT, check=True, timeout=PATIENCE_S)
    return run


def test_both_ranks_have_the_same_parameters_at_every_step(steered: RunFolder) -> None:
    first, second = steps_of(steered, 0), steps_of(steered, 1)
    assert first == second
    rows = list(read_metrics(steered.metrics))
    assert [row.digest for row in rows] == [line.split()[1] for line in first]
    assert (rows[-1].branch, rows[-1].step) == ("b1", STEPS)


def test_every_command_has_its_outcome(steered: RunFolder) -> None:
    entries = read_ledger(steered.ledger)
    found = interventions(steered)
    assert [entry.body["command"] for entry in found] == [row["command"] for row in COMMANDS]
    assert [entry.step for entry in found][:2] == [12, 20]
    states = [entry.body["state"] for entry in found]
    assert states == ["rejected" if n == REFUSED else "applied" for n in range(len(COMMANDS))]
    assert "rank 1 plans it otherwise" in found[REFUSED].body["hint"]
    failures = [entry.body for entry in entries if entry.kind is EntryKind.FAILURE]
    assert [body["of"] for body in failures] == [found[FAILED].seq]
    assert entries[0].body["fingerprint"]["world_size"] == "2"


def test_a_killed_rank_ends_the_others_and_the_run_goes_on(
    steered: RunFolder, tmp_path: Path
) -> None:
    run = new_run(tmp_path / "run")
    ended = train(run, "--kill-at", "57")
    assert ended.statuses == [1, -9]
    lines = [line for line in ended.printed[0].splitlines() if line.startswith("rank 0:")]
    assert len(lines) == 1
    assert "another rank is gone" in lines[0]
    assert "Traceback" not in ended.printed[0]
    assert len(list(read_metrics(run.metrics))) == 57

    ended = train(run)
    assert ended.statuses == [0, 0], ended.printed
    session = [entry for entry in read_ledger(run.ledger) if entry.kind is EntryKind.SESSION][-1]
    assert (session.body["base"], session.body["redone_steps"]) == ("main-000050", 7)
    digests = [row.digest for row in read_metrics(run.metrics)]
    assert digests == [row.digest for row in read_metrics(steered.metrics)]
    assert steps_of(run, 0) == steps_of(run, 1)


@pytest.mark.nightly
def test_ranks_that_differ_end_with_step_and_rank(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    ended = train(run, "--odd-rank", "1", commands=[])
    assert ended.statuses == [1, 1]
    for rank, printed in enumerate(ended.printed):
        assert f"rank {rank}: the ranks differ: rank 1 has 'step 21: " in printed
        assert "Traceback" not in printed
    assert len(list(read_metrics(run.metrics))) == 22


@pytest.mark.nightly
def test_what_one_rank_alone_cannot_apply_ends_all(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    ended = train(run, commands=[at(12, setting("half_broken", 0.5))])
    assert ended.statuses == [1, 1]
    for printed in ended.printed:
        assert "rank 1 has 'apply before step 12: ValueError: it is broken here'" in printed
    assert len(list(read_metrics(run.metrics))) == 11


@pytest.mark.nightly
def test_a_rank_that_is_told_to_end_ends_all_with_a_checkpoint(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    assert train(run, "--end-at", "33", commands=[]).statuses == [0, 0]
    steps = len(list(read_metrics(run.metrics)))
    assert steps < STEPS
    last = read_ledger(run.ledger)[-1]
    assert (last.kind, last.step) == (EntryKind.CHECKPOINT, steps + 1)
    assert train(run, commands=[]).statuses == [0, 0]
    assert [row.step for row in read_metrics(run.metrics)] == list(range(1, STEPS + 1))


@pytest.mark.nightly
def test_a_rank_that_dies_while_the_run_is_held_is_noticed(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    commands = [at(12, {"command": "pause"}), {"at": None, "command": {"command": "resume"}}]
    ended = train(run, "--die-held", commands=commands, hold_s=60.0)
    assert ended.statuses == [1, -9]
    assert "another rank is gone" in ended.printed[0]


@pytest.mark.nightly
def test_a_run_that_cannot_be_taken_up_ends_all_ranks(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.info_file.write_text('{"format_version": 99}')
    ended = train(run, commands=[])
    assert ended.statuses == [1, 1]
    assert "rank 1: rank 0 ended by an error: RunVersionMismatch" in ended.printed[1]


@pytest.mark.nightly
@pytest.mark.parametrize("world_size", [2, 1])
def test_a_replay_under_as_many_ranks_is_identical(
    steered: RunFolder, tmp_path: Path, world_size: int
) -> None:
    plan, out = tmp_path / "plan.json", tmp_path / "out"
    ReplayPlan(steered.path, out).write(plan)
    before = steered.metrics.read_bytes()
    ended = train(steered, world_size=world_size, env={REPLAY: str(plan)})
    assert set(ended.statuses) == {0}, ended.printed
    assert steered.metrics.read_bytes() == before
    report = json.loads((out / "report.json").read_text())
    steps = len(list(read_metrics(steered.metrics)))
    if world_size == 2:
        assert (report["promise"], report["steps"]) == ("same_fingerprint", steps)
        assert (report["identical"], report["first_divergence"]) == (steps, None)
    else:
        # Other ranks draw other batches: it is another machine, and the report says so.
        assert report["promise"] != "same_fingerprint"
        assert {"field": "world_size", "recorded": "2", "here": None} in report["differs"]
        assert report["deviation"]["step"] == 1
