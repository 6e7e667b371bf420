"""Runs side by side: tables that say what their files say, figures, and a page in one file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from PIL import Image

from experiments.cli import cli
from experiments.comparing.comparison import compare_runs
from experiments.comparing.page import cell
from experiments.console import run_cli
from interactive.record.journal import seal
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.counterfactual import TAIL
from interactive.steering.boundary import Cadence
from tests.fakes import World, data_row, delivered, make_run, run_session

LR = {"command": "update_optimizer", "lr": 0.01}
LOAD = {"command": "load_checkpoint", "checkpoint": "main-000010"}


def train(path: Path, end: int, commands: dict[Any, Any] | None = None, seed: int = 3) -> Path:
    folder = make_run(path, seed=seed, min_rows=1)
    world = World(rows={("main", 0): [data_row(1, "base")]}, commands=commands or {})
    run_session(folder, world, cadence=Cadence(evaluate_every=8, end_step=end))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A run left alone, and one that was steered from step 10 on and went back to there."""
    root = tmp_path_factory.mktemp("runs")
    save = {"command": "save_checkpoint"}
    commands = {
        ("main", 10): [delivered(1, save), delivered(2, LR)],
        ("main", 20): [delivered(3, LOAD), delivered(4, {"command": "note", "text": "<b>"})],
    }
    return [train(root / "alone", 40), train(root / "steered", 30, commands)]


@pytest.fixture(scope="module")
def found(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return compare_runs(runs, tmp_path_factory.mktemp("out"))


def losses(path: Path, branches: dict[str, Callable[[int], bool]]) -> list[float]:
    rows = read_metrics(RunFolder(path).metrics)
    return [r.loss for r in rows if r.branch in branches and branches[r.branch](r.step)]


def test_the_ends_and_equal_steps_are_means_of_the_surviving_line(
    runs: list[Path], found: dict[str, Any]
) -> None:
    alone = losses(runs[0], {"main": lambda step: True})
    steered = losses(runs[1], {"main": lambda step: step <= 10, "b1": lambda step: True})
    assert (len(alone), len(steered)) == (40, 30)
    ends, equal = found["tables"]["outcomes"], found["tables"]["equal_steps"]
    assert [row["final"] for row in ends] == [fmean(alone[-TAIL:]), fmean(steered[-TAIL:])]
    assert [row["steps"] for row in ends] == [40, 30]
    assert [row["steps"] for row in equal] == [30, 30]
    assert equal[0]["final"] == fmean(alone[30 - TAIL : 30])
    windows = [fmean(alone[at : at + TAIL]) for at in range(40 - TAIL + 1)]
    assert ends[0]["best"] == min(windows)


def test_branches_and_what_lines_share(found: dict[str, Any]) -> None:
    rows = {(row["run"], row["branch"]): row for row in found["tables"]["lineage"]}
    branch = rows["steered", "b1"]
    assert (branch["parent"], branch["checkpoint"]) == ("main", "main-000010")
    assert (branch["first_step"], branch["last_step"]) == (11, 30)
    # The steered line went back behind the change: nothing parts it from the other run.
    assert (branch["survived"], branch["shared"], branch["shared_with"]) == (True, 30, "alone")
    assert rows["steered", "main"]["survived"] is False


def test_interventions_and_evaluations_are_listed(found: dict[str, Any]) -> None:
    tables = found["tables"]
    assert [(row["run"], row["command"], row["step"]) for row in tables["interventions"]] == [
        ("steered", "update_optimizer", 11),
        ("steered", "load_checkpoint", 21),
    ]
    measured = [(row["run"], row["step"]) for row in tables["evaluations"]]
    assert measured.count(("steered", 8)) == 1
    assert ("steered", 24) in measured
    # Step 16 of the first branch was left behind; the one of the second counts.
    assert measured.count(("steered", 16)) == 1


def test_the_configurations_differ_where_they_do(runs: list[Path], tmp_path: Path) -> None:
    other = train(tmp_path / "other", 5, seed=4)
    tables = compare_runs([runs[0], other], tmp_path / "out")["tables"]
    assert tables["config"] == [{"key": "seed", "alone": 3, "other": 4}]
    assert tables["equal_steps"][0]["steps"] == 5
    assert [row["shared"] for row in tables["lineage"]] == [None, None]


def test_the_page_is_one_file_without_code(found: dict[str, Any]) -> None:
    page = Path(found["html"]).read_text()
    assert page.count("data:image/png;base64,") == len(found["figures"]) == 4
    assert not re.search(r"<script|https?://|<link", page)


def test_the_figures_show_something(found: dict[str, Any]) -> None:
    for figure in found["figures"]:
        with Image.open(figure) as picture:
            colors = picture.convert("RGB").getcolors(1 << 24)
            assert colors is not None
            white = max(count for count, color in colors if color == (255, 255, 255))
            assert 0.3 < white / (picture.width * picture.height) < 0.99, figure


def test_names_and_words_from_outside_are_only_text(tmp_path: Path) -> None:
    command = {**LR}
    said = delivered(1, command, reason="<script>alert(1)</script>")
    path = train(tmp_path / "<img src=x>", 12, {("main", 3): [said]})
    page = Path(compare_runs([path], tmp_path / "out")["html"]).read_text()
    assert "<script" not in page
    assert "<img src=x>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [train(tmp_path / name / "run", 3) for name in ("a", "b")]
    tables = compare_runs(paths, tmp_path / "out")["tables"]
    assert [row["run"] for row in tables["outcomes"]] == ["a/run", "b/run"]


def test_a_loss_that_is_no_number_and_an_empty_run_are_borne(tmp_path: Path) -> None:
    path, empty = train(tmp_path / "spoilt", 25), tmp_path / "empty"
    make_run(empty)
    rows = list(read_metrics(RunFolder(path).metrics))
    spoilt = [replace(r, loss=float("nan") if r.step > 22 else r.loss) for r in rows]
    RunFolder(path).metrics.write_bytes(b"".join(seal(row.to_json()) for row in spoilt))
    found = compare_runs([path, empty], tmp_path / "out")
    assert [row["final"] for row in found["tables"]["outcomes"]] == ["NaN", None]
    assert found["tables"]["equal_steps"] == []
    json.dumps(found, allow_nan=False)


def test_the_command_says_where_the_page_is(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_cli(cli, ["compare", *map(str, runs), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["schema"] == "neuralos.compare/1"
    assert said["html"] == str(out / "index.html")
    assert run_cli(cli, ["compare", str(tmp_path / "none"), "--json"]) == 2


def test_cells_are_read_by_people() -> None:
    assert [cell(x) for x in (None, 1 / 3, "a", [1], 7)] == ["", "0.333333", "a", "[1]", "7"]
