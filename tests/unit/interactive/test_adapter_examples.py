"""The examples of docs/adapters.md run, and replay."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.cli import cli
from experiments.console import run_cli
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.own_loop import REPLAY, ReplayPlan
from interactive.steering.boundary import Cadence
from tests.fakes import World, make_run, run_session

PAGE = Path(__file__).parents[3] / "docs" / "adapters.md"
SECTIONS = ("A hand-written loop", "Hugging Face `Trainer`", "Accelerate")
STEPS = 20


def example(section: str) -> str:
    text = PAGE.read_text("utf-8").split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return str(code)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("section", SECTIONS)
def test_an_example_trains_and_replays(
    here: Path, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    script = here / "train.py"
    script.write_text(example(section), "utf-8")
    runpy.run_path(str(script), run_name="__main__")
    rows = list(read_metrics(RunFolder(here / "runs/example").metrics))
    assert [row.step for row in rows] == list(range(1, STEPS + 1))
    assert sum(row.loss for row in rows[-5:]) < sum(row.loss for row in rows[:5])
    ReplayPlan(here / "runs/example", here / "replayed").write(here / "plan.json")
    monkeypatch.setenv(REPLAY, str(here / "plan.json"))
    runpy.run_path(str(script), run_name="__main__")
    report = json.loads((here / "replayed" / "report.json").read_text("utf-8"))
    assert (report["identical"], report["steps"]) == (STEPS, STEPS)


def replay(capsys: pytest.CaptureFixture[str], *script: str) -> tuple[int, dict[str, Any]]:
    """What ``neuralos ctl replay`` says of the run here, and its exit status."""
    capsys.readouterr()
    arguments = ["ctl", "replay", "--json", "runs/example", "--", *script]
    status = run_cli(cli, arguments)
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_script_is_replayed_by_the_command_line(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "train.py").write_text(example(SECTIONS[0]), "utf-8")
    # In a process of its own, as the replay is: flags that other tests left set are no part of it.
    subprocess.run([sys.executable, "train.py"], check=True)
    status, found = replay(capsys)
    assert (status, found["error"]["code"]) == (2, "bad_entry_point")
    assert "-- python train.py" in found["error"]["hint"]
    status, found = replay(capsys, sys.executable, "train.py")
    assert (status, found["identical"], found["promise"]) == (0, STEPS, "same_fingerprint")


@pytest.mark.nightly
def test_a_changed_script_is_found_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "train.py").write_text(example(SECTIONS[0]), "utf-8")
    runpy.run_path("train.py", run_name="__main__")
    (here / "train.py").write_text(example(SECTIONS[0]).replace("lr=1e-2", "lr=2e-2"), "utf-8")
    status, found = replay(capsys, sys.executable, "train.py")
    divergence = found["first_divergence"]
    assert (status, divergence["step"], divergence["field"]) == (1, 1, "lr")


@pytest.mark.parametrize(
    ("script", "code"),
    [("pass", "not_replayed"), ("raise SystemExit(3)", "script_died"), (None, "no_script")],
)
def test_a_script_that_replays_nothing_is_told(
    here: Path, capsys: pytest.CaptureFixture[str], script: str | None, code: str
) -> None:
    run_session(make_run(here / "runs/example"), World(), cadence=Cadence(end_step=3))
    command = (sys.executable, "-c", script) if script else ("./nothing",)
    status, found = replay(capsys, *command)
    assert status == (2 if script is None else 1)
    assert found["error"]["code"] == code
    assert found["error"]["message"]
