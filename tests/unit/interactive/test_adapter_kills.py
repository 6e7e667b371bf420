"""Training processes that are killed at random moments, under each adapter."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from interactive.record.metrics import COMPARED, read_metrics
from interactive.record.run_folder import RunFolder
from tests.unit.interactive.adapter_loops import TORCH_LOOPS

KILLS = 7
ROOT = Path(__file__).parents[3]


def start(loop: str, run_dir: Path, step_s: float = 0.0) -> subprocess.Popen[bytes]:
    module = "tests.unit.interactive.adapter_process"
    command = [sys.executable, "-m", module, loop, str(run_dir), str(step_s)]
    output = open(run_dir.with_suffix(".log"), "ab")  # noqa: SIM115
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, env=env)


def bits(run_dir: Path) -> list[object]:
    fields = ["branch", "step", *(field for field in COMPARED if field != "entries")]
    rows = read_metrics(RunFolder(run_dir).metrics)
    return [[getattr(row, field) for field in fields] for row in rows]


@pytest.mark.nightly
@pytest.mark.parametrize("loop", TORCH_LOOPS)
def test_a_run_killed_again_and_again_is_the_run(loop: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(loop, whole).wait() == 0
    draw = random.Random(loop)
    for _ in range(KILLS):
        process = start(loop, killed, step_s=0.05)
        lines = killed / "metrics.jsonl"
        # Wait for the first step of this process, then for a random moment.
        before = lines.read_bytes() if lines.exists() else b""
        while process.poll() is None and (not lines.exists() or lines.read_bytes() == before):
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 0.3))
        process.kill()
        process.wait()
    assert start(loop, killed).wait() == 0, killed.with_suffix(".log").read_text()
    assert bits(killed) == bits(whole)
