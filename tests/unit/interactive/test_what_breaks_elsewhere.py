"""What was seen to break in Interactive Training (arXiv 2510.02297, v1) and 2 (2607.18314, v2).

Each row of that table has a test that this version passes: here by its name, or where its
subject is tested anyway.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from boundary_runs import SAVE, at, interventions, rows, steer
from llm_desk import LlmDesk, plan_of
from scripted_llm import Reply, ScriptedLlm, says
from served_run import ServedRun, envelope, post

from interactive.agents.endpoint import OpenAiEndpoint
from interactive.record.journal import read
from interactive.record.run_folder import RunFolder
from tests.fakes import World, data_row, delivered, make_run

ROOT = Path(__file__).parents[3]
UNIT = "tests/unit/interactive"
ROWS = {
    "update_optimizer as its README writes it": "test_update_optimizer_as_the_readme_writes_it",
    "load_checkpoint without a branch name": "test_load_checkpoint_without_a_branch_name",
    "load_checkpoint of an unknown id": "test_load_checkpoint_of_an_unknown_id",
    "arguments that are no JSON": "test_arguments_that_are_no_json",
    "evaluate without an evaluation set, an operation that a module lacks": (
        "test_an_evaluation_or_an_operation_that_is_not_there"
    ),
    "lr negative, NaN or huge": "test_lr_negative_nan_or_huge",
    "a NaN metric": "test_a_nan_metric",
    "a branch name with a path in it": "test_a_branch_name_with_a_path_in_it",
    "a data change": "test_a_data_change_is_seen_by_later_steps",
    "lr under a linear schedule": "test_lr_under_a_linear_schedule",
    "two ranks": (
        "tests/e2e/test_ranks.py::test_both_ranks_have_the_same_parameters_at_every_step"
    ),
    "the same command id twice": "test_same_command_id_twice",
    "12k events, then since=0": (
        f"{UNIT}/test_events.py::"
        "test_twelve_thousand_events_are_read_from_the_first_on_without_a_gap"
    ),
    "a crash in mid-round": "test_crash_in_mid_round_leaves_the_journal",
    "an LLM that times out": "test_llm_time_out_leaves_training_alone",
    "forking in the HF Trainer": (
        f"{UNIT}/test_hf_trainer.py::test_a_branch_saves_beside_its_parent"
    ),
    "polling clients beside training": "test_polling_clients_are_not_served_by_the_trainer",
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run")


@pytest.fixture
def run(tmp_path: Path) -> ServedRun:
    return ServedRun(tmp_path / "served")


def test_every_row_has_a_test() -> None:
    for row, name in ROWS.items():
        file, _, test = name.rpartition("::")
        tree = ast.parse((ROOT / file if file else Path(__file__)).read_text("utf-8"))
        found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert test in found, row


def test_update_optimizer_as_the_readme_writes_it(folder: RunFolder) -> None:
    """v1 crashes the training."""
    steer(folder, at(2, delivered(1, {"command": "update_optimizer", "lr": 1e-4})))
    assert [row.lr for row in rows(folder)] == [0.05] * 2 + [1e-4] * 6


def test_load_checkpoint_without_a_branch_name(folder: RunFolder) -> None:
    """v1 crashes, or ends the run."""
    load = {"command": "load_checkpoint", "checkpoint": "main-000002"}
    world = World(commands={("main", 2): [delivered(1, SAVE)], ("main", 5): [delivered(2, load)]})
    steer(folder, world)
    assert [row.step for row in rows(folder) if row.branch == "b1"] == [3, 4, 5, 6, 7, 8]


def test_load_checkpoint_of_an_unknown_id(folder: RunFolder) -> None:
    """v1 ends the run."""
    load = {"command": "load_checkpoint", "checkpoint": "nowhere"}
    steer(folder, at(2, delivered(1, load)))
    (entry,) = interventions(folder)
    assert (entry.body["code"], len(rows(folder))) == ("unknown_checkpoint", 8)
    assert entry.body["hint"]


@pytest.mark.parametrize("body", [b"{nope", b"[]", b"null", b'"pause"', b"\xff", b"[" * 9000])
def test_arguments_that_are_no_json(run: ServedRun, body: bytes) -> None:
    """v1 crashes the training."""
    got = post(run.client(), body)
    assert (got.status_code, got.json()["code"]) == (422, "malformed")
    assert run.service.inbox.head == 0


def test_an_evaluation_or_an_operation_that_is_not_there(folder: RunFolder) -> None:
    """v1 crashes the training."""
    freeze = {"command": "module_operation", "operation": "freeze", "module": "third"}
    melt = {"command": "module_operation", "operation": "melt", "module": "first"}
    exam = {"command": "evaluate", "evaluation": "exam"}
    steer(folder, at(2, delivered(1, exam), delivered(2, freeze), delivered(3, melt)))
    codes = [entry.body["code"] for entry in interventions(folder)]
    assert codes == ["unknown_evaluation", "unknown_module", "unknown_operation"]
    assert len(rows(folder)) == 8


@pytest.mark.parametrize("lr", ["-1e-3", "NaN", "1e9", "Infinity"])
def test_lr_negative_nan_or_huge(run: ServedRun, lr: str) -> None:
    """v1 accepts them; v2 lets NaN through, and clamps while it records what was asked."""
    body = json.dumps(envelope({"command": "update_optimizer", "lr": 0.125}))
    got = post(run.client(), body.replace("0.125", lr).encode())
    assert got.status_code == 422
    assert got.json()["code"] in ("malformed", "out_of_bounds")
    assert run.service.inbox.head == 0


def test_a_nan_metric(run: ServedRun) -> None:
    """v1 shows no log from then on."""
    run.write_metrics(
        *({"step": n, "loss": "NaN" if n == 2 else 1.0, "lr": 1.0} for n in (1, 2, 3))
    )
    with run.client() as client:
        client.portal.call(run.service.refresh)
        got = client.get("/api/metrics").json()
    assert (got["steps"], got["values"]) == ([1, 2, 3], [1.0, "NaN", 1.0])


@pytest.mark.parametrize("name", ["../out", "a/b", "/etc/x", "..", "a\x00b"])
def test_a_branch_name_with_a_path_in_it(run: ServedRun, name: str) -> None:
    """v1 writes there."""
    load = {"command": "load_checkpoint", "checkpoint": "main-000002", "branch": name}
    got = post(run.client(), envelope(load))
    assert (got.status_code, got.json()["code"]) == (422, "malformed")


def test_a_data_change_is_seen_by_later_steps(tmp_path: Path) -> None:
    """v1, with workers that load ahead: "success", and no later step of the epoch saw it."""
    folder = make_run(tmp_path / "run", min_rows=2)
    mixture = {"command": "update_mixture", "weights": {"base": 0.0}}
    world = at(3, delivered(1, mixture))
    world.rows[("main", 0)] = [data_row(1, "base"), data_row(2)]
    steer(folder, world, end=20)
    used = [commit for row in rows(folder) if row.step > 3 for commit in row.commits]
    assert set(used) == {2}


def test_lr_under_a_linear_schedule(folder: RunFolder) -> None:
    """v1 takes effect two steps late, and wrongly; v2 makes one hidden step at the raw value."""
    linear = {
        "command": "replace_schedule", "schedule": "linear", "lr": 0.1,
        "arguments": {"num_training_steps": 10},
    }  # fmt: skip
    change: dict[str, Any] = {"command": "update_optimizer", "lr": 0.03}
    world = World(
        commands={("main", 2): [delivered(1, linear)], ("main", 5): [delivered(2, change)]}
    )
    steer(folder, world)
    lrs = [row.lr for row in rows(folder)]
    assert lrs[2:5] == pytest.approx([0.1, 0.09, 0.08])
    assert lrs[5:] == [0.03] * 3


def test_same_command_id_twice(run: ServedRun) -> None:
    """v2 applies it twice."""
    said = envelope({"command": "save_checkpoint"})
    first, second = (post(run.client(), said).json() for _ in range(2))
    assert first == second
    assert len(run.service.inbox.after(0)) == 1


def test_crash_in_mid_round_leaves_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """v2 leaves no journal."""
    desk = LlmDesk(tmp_path)

    def die(self: OpenAiEndpoint, *args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(OpenAiEndpoint, "call", die)
    with ScriptedLlm(says(plan_of())) as llm, pytest.raises(KeyboardInterrupt):
        desk.rounds(llm)
    (line,) = read(desk.folder / "journal.jsonl")
    assert (line["kind"], "user" in json.dumps(line)) == ("ask", True)


def test_llm_time_out_leaves_training_alone(tmp_path: Path) -> None:
    """v2: the training dies."""
    desk = LlmDesk(tmp_path)
    with ScriptedLlm(lambda seen: Reply(hangs=True)) as llm:
        assert desk.rounds(llm, timeout_s=0.1) == []
    assert desk.outcomes() == ["timeout"]
    assert desk.run.service.inbox.head == 0


def test_polling_clients_are_not_served_by_the_trainer() -> None:
    """v1 and v2 serve from the training process: polling tripled its median step."""
    script = (
        "import sys, interactive.integrations.loop;"
        "print([m for m in ('fastapi', 'starlette', 'uvicorn', 'sqlite3') if m in sys.modules])"
    )
    got = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert got.stdout.strip() == "[]"
