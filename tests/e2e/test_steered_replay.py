"""A run that was steered in every way is the same run again, under its ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from interactive.commands import COMMAND
from tests.e2e.harness import MICRO, environment

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "steered_replay.py"
STEPS = 300


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--steps", str(STEPS), "--json", *MICRO],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.nightly
def test_three_hundred_steps_under_every_kind_of_command_are_identical(
    report: dict[str, Any],
) -> None:
    rows = report["rows"]
    assert [row for row in rows if row["state"] != "applied"] == []
    every = {choice["command"] for choice in map(_command, COMMAND.json_schema()["$defs"].values())}
    assert {row["command"] for row in rows} == every - {None}
    assert len(rows) >= 12
    assert {row["branch"] for row in rows} == {"main", "after"}
    replay = report["replay"]
    assert replay["identical"] == replay["steps"] == STEPS
    assert replay["first_divergence"] is None
    assert replay["promise"] == "same_fingerprint"
    assert replay["live_clips"] > 0


@pytest.mark.nightly
def test_an_intervention_moved_by_a_step_is_found_at_its_step(report: dict[str, Any]) -> None:
    moved = report["moved"]
    assert len(moved) >= 5
    assert [one["first_divergence_step"] for one in moved] == [one["step"] for one in moved]


def _command(schema: dict[str, Any]) -> dict[str, Any]:
    return {"command": schema.get("properties", {}).get("command", {}).get("const")}
