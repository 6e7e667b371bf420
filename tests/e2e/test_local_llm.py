"""A real, small language model steers a real run, and the run replays without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interactive.record.journal import read
from interactive.record.ledger import EntryKind, read_ledger
from interactive.record.run_folder import RunFolder
from tests.e2e.harness import MICRO, neuralos, running, steps, until

pytestmark = pytest.mark.nightly


def test_a_small_model_steers_and_the_run_replays_without_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    often = ["--set", "steering.evaluate_every=40"]
    train = ["train", "--seed", "3", "--run", run, "--wandb", "disabled", "--json", *MICRO, *often]
    with running("agent", "serve-llm", "--json", "--calibrate") as model:
        assert model.process.stdout is not None
        url = json.loads(model.process.stdout.readline())["url"]
        with running(*train, "--for", "10m") as loop:
            until(lambda: run.exists() and len(steps(run)) >= 45, "an evaluation")
            agent = neuralos(
                "agent", "llm", run, "--base-url", url, "--model", "smollm2", "--name", "small",
                "--timeout", "120", "--budget", "1", "--for", "100s", "--json",
            )  # fmt: skip
            assert agent.status == 0, agent.stderr
            done = loop.end()
    assert done.status in (0, 130), done.stderr
    lines = read(RunFolder(run).agents / "small/journal.jsonl")
    rounds = [line for line in lines if line["kind"] == "round"]
    answers = [line for line in lines if line["kind"] == "answer"]
    assert {one["outcome"] for one in rounds} <= {"acts", "leaves_alone"}
    assert agent.json["rounds"] == len(rounds) >= 1
    assert agent.json["tokens"] == sum(one["tokens_in"] + one["tokens_out"] for one in answers) > 0
    by_agent = {
        entry.body["command_id"]: entry.body["state"]
        for entry in read_ledger(RunFolder(run).ledger)
        if entry.kind is EntryKind.INTERVENTION and entry.body["issuer"]["name"] == "agent"
    }
    assert set(by_agent) <= {line["command_id"] for line in lines if line["kind"] == "proposal"}
    assert list(by_agent.values()).count("applied") == agent.json["applied"]
    replay = neuralos("ctl", "replay", run, "--json")
    assert replay.status == 0, replay.stderr
    assert replay.json["identical"] == replay.json["steps"] == len(steps(run))
