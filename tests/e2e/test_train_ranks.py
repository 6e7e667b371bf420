"""`neuralos train` on two ranks: the curve of one, killed and gone on, steered and replayed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import (
    MICRO,
    PATIENCE_S,
    Done,
    Running,
    environment,
    neuralos,
    send,
    steps,
    until,
)

pytestmark = pytest.mark.nightly

STEPS, LAST_CHECKPOINT = 45, 40
TOLERANCE = 1e-4
"""Of the loss, relative: the ranks' gradients are added up in another order."""
CONFIG = [*MICRO, "--set", "lanes.lanes=4", "--set", f"steering.end_step={STEPS}"]


@contextlib.contextmanager
def two_ranks(run: Path, *words: str) -> Iterator[Running]:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*start, "-m", "experiments.cli", "--", "train", "--run", str(run), "--json", *words]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=PATIENCE_S)


def train_on_two(run: Path, *words: str) -> Done:
    with two_ranks(run, *words) as running:
        done = running.wait()
    assert done.status == 0, done.stderr
    return done


def pid_of_rank_1(running: Running) -> int:
    """Return the process of rank 1 among the children of torchrun."""
    parent = running.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    for pid in map(int, children):
        if b"RANK=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return pid
    raise AssertionError("there is no rank 1")


def digests(run: Path) -> list[str | None]:
    return [row.digest for row in steps(run)]


def assert_same_curve(run: Path, other: Path) -> None:
    pairs = list(zip(steps(run), steps(other), strict=True))
    assert len(pairs) == STEPS
    for here, there in pairs:
        assert (here.step, here.commits, here.mark) == (there.step, there.commits, there.mark)
        assert here.lr == there.lr
        assert here.loss == pytest.approx(there.loss, rel=TOLERANCE)


@pytest.fixture(scope="module")
def on_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("ranks") / "one"
    done = neuralos("train", "--run", run, *CONFIG)
    assert done.status == 0, done.stderr
    return run


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("ranks") / "two"
    done = train_on_two(run, *CONFIG)
    assert done.json["steps"] == STEPS
    return run


def test_two_ranks_make_the_curve_of_one(on_one: Path, on_two: Path) -> None:
    assert_same_curve(on_two, on_one)


def test_a_run_of_two_ranks_is_replayed_on_two(on_two: Path) -> None:
    done = neuralos("ctl", "replay", on_two, "--json")
    assert done.status == 0, done.stderr
    assert (done.json["identical"], done.json["promise"]) == (STEPS, "same_fingerprint")


def test_a_checkpoint_goes_on_with_more_and_with_fewer_ranks(
    on_one: Path, on_two: Path, tmp_path: Path
) -> None:
    fork = ("ctl", "fork", "--out")
    fewer, more, checkpoint = tmp_path / "fewer", tmp_path / "more", f"main-{LAST_CHECKPOINT:06d}"
    assert neuralos(*fork, fewer, on_two, checkpoint).status == 0
    assert neuralos("train", "--run", fewer, *CONFIG).status == 0
    assert_same_curve(fewer, on_one)
    assert neuralos(*fork, more, on_one, checkpoint).status == 0
    train_on_two(more, *CONFIG)
    assert_same_curve(more, on_two)


def test_a_killed_rank_ends_all_and_the_run_goes_on_bit_for_bit(
    on_two: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with two_ranks(run, *CONFIG) as running:
        until(lambda: run.exists() and len(steps(run)) >= 25, "25 steps")
        os.kill(pid_of_rank_1(running), signal.SIGKILL)
        done = running.wait()
    assert done.status != 0
    assert "another rank is gone or silent" in done.stderr
    assert f"torchrun --nproc-per-node 2 --no-python -- neuralos train --run {run}" in done.stderr
    assert 25 <= len(steps(run)) < STEPS
    train_on_two(run, *CONFIG)
    assert digests(run) == digests(on_two)


def test_two_ranks_are_steered_and_replayed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with two_ranks(run, *CONFIG[:-2]) as running:
        until(lambda: run.exists() and len(steps(run)) >= 21, "21 steps")
        send(run, "update_optimizer", "lr=1e-3")
        send(run, "pause")
        send(run, "evaluate", "evaluation=rollout")
        send(run, "module_operation", "operation=freeze", "module=denoiser")
        send(run, "resume")
        send(run, "load_checkpoint", "checkpoint=main-000020")
        count = len(steps(run))
        until(lambda: len(steps(run)) > count + 3, "steps on the new branch")
        send(run, "stop")
        done = running.wait()
    assert done.status == 0, done.stderr
    assert steps(run)[-1].branch == "b1"
    replayed = neuralos("ctl", "replay", run, "--json")
    assert replayed.status == 0, replayed.stderr
    assert replayed.json["identical"] == len(steps(run))
