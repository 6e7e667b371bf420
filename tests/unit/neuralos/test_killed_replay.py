"""A replay of the real trainer, killed again and again, ends as one that was left alone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from data_collection.trace import ClipRow
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder, RunInfo
from interactive.steering.boundary import Cadence
from interactive.trainer import DataRow
from tests.fakes import World, delivered, run_session

NEURALOS = [sys.executable, "-c", "from experiments.cli import main; main()"]
KILLS = 20
STEPS = 120
PATIENCE_S = 120.0


def train(path: Path, config: Path, recorded: tuple[Path, list[ClipRow]]) -> RunFolder:
    """A run with a changed lr and mixture, a checkpoint, a branch from it, and late data."""
    traces, rows = recorded
    info = RunInfo("neuralos.control:create_trainer", seed=0, code_version="test")
    folder = RunFolder.create(path, config=config.read_text(), info=info)
    folder.traces.symlink_to(traces / "traces", target_is_directory=True)
    found = [DataRow(row.commit, row.to_json()) for row in rows]
    world = World(
        commands={
            ("main", 10): [delivered(1, {"command": "update_optimizer", "lr": 1e-3})],
            ("main", 20): [
                delivered(2, {"command": "save_checkpoint"}),
                delivered(3, {"command": "update_mixture", "weights": {"live": 2.0}}),
            ],
            ("main", 40): [
                delivered(4, {"command": "load_checkpoint", "checkpoint": "main-000020"})
            ],
            ("b1", 60): [delivered(5, {"command": "scale_schedule", "factor": 0.5})],
        },
        rows={("main", 0): found[:6], ("b1", 50): found[6:]},
    )
    trainer: Any = folder.build_trainer()
    run_session(folder, world, cadence=Cadence(end_step=STEPS - 20), trainer=trainer)
    return folder


def start(folder: RunFolder, out: Path) -> subprocess.Popen[bytes]:
    command = [*NEURALOS, "ctl", "replay", str(folder.path), "--out", str(out), "--json"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def made(out: Path) -> int:
    """The rows that are whole on the disk."""
    return sum(1 for _ in read_metrics(RunFolder(out).metrics))


def kill_after(replay: subprocess.Popen[bytes], out: Path, rows: int, delay_s: float) -> bool:
    """Kill a replay a moment after its file has so many rows; False where it ended before."""
    deadline_s = time.monotonic() + PATIENCE_S
    while made(out) < rows:
        if replay.poll() is not None:
            return False
        assert time.monotonic() < deadline_s, "the replay does not come forward"
        time.sleep(0.005)
    try:
        replay.wait(delay_s)
    except subprocess.TimeoutExpired:
        replay.send_signal(signal.SIGKILL)
    return replay.wait() == -signal.SIGKILL


def bits(folder: RunFolder) -> list[tuple[Any, ...]]:
    return [
        (r.branch, r.step, r.loss_bits, r.grad_norm_bits, r.digest, r.lr, r.mark, r.commits)
        for r in read_metrics(folder.metrics)
    ]


@pytest.mark.nightly
def test_twenty_kills_change_no_bit(
    tmp_path: Path, micro_config: Path, recorded: tuple[Path, list[ClipRow]]
) -> None:
    folder = train(tmp_path / "run", micro_config, recorded)
    draw = random.Random("twenty kills")
    out = tmp_path / "killed"
    for rows in sorted(draw.randrange(STEPS - 20) for _ in range(KILLS)):
        # At a random row; where that stands already, at a random moment of the start.
        delay_s = draw.uniform(0, 0.03) if made(out) < rows else draw.uniform(0, 1.5)
        assert kill_after(start(folder, out), out, rows, delay_s), rows
    ended = start(folder, out)
    said = json.loads(ended.communicate()[0].splitlines()[-1])
    assert ended.returncode == 0
    assert (said["identical"], said["steps"]) == (STEPS, STEPS)
    assert said["promise"] == "same_fingerprint"
    assert bits(RunFolder(out)) == bits(folder)

    alone = start(folder, tmp_path / "alone")
    alone.communicate()
    # Rows also say how long their parts took; every other byte is the same.
    assert bits(RunFolder(out)) == bits(RunFolder(tmp_path / "alone"))
    for name in ("ledger.jsonl", "report.json", "run.json", "config.toml"):
        assert (out / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name
    assert not (out / "resume").exists()
