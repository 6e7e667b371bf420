from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments.wandb_mirror import Mirror
from interactive.record.journal import JournalWriter
from interactive.record.ledger import Entry, EntryKind
from interactive.record.metrics import MetricsRow
from interactive.record.run_folder import RunFolder, RunInfo
from interactive.trainer import StepRecord


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setenv("WANDB_MODE", "offline")
    info = RunInfo(entry_point="none:none", seed=1, code_version="0")
    return RunFolder.create(tmp_path / "steered", config="[optimizer]\nlr = 0.001\n", info=info)


def write_step(folder: RunFolder, branch: str, step: int, lr: float, wall_s: float) -> None:
    record = StepRecord(step, loss=1.0 / step, grad_norm=0.5, lr=lr)
    row = MetricsRow.of(record, branch=branch, mark=3, entries=0, wall_s=wall_s)
    with JournalWriter.open(folder.metrics) as journal:
        journal.append(row.to_json())


def write_entry(folder: RunFolder, entry: Entry) -> None:
    with JournalWriter.open(folder.ledger) as journal:
        journal.append(entry.to_json())


def intervention(seq: int, step: int, wall_s: float) -> Entry:
    return Entry(
        seq,
        step,
        "main",
        EntryKind.INTERVENTION,
        wall_s,
        {
            "command": {"command": "update_optimizer", "lr": 1e-4},
            "issuer": {"name": "ada", "kind": "person"},
            "reason": "flat",
            "state": "applied",
            "old": {"lr": 1e-3},
            "requested": {"lr": 1e-4},
            "effective": {"lr": 1e-4},
        },
    )


def inspect(run: Path) -> list[dict[str, Any]]:
    """Read an offline run back with W&B's own program."""
    wandb = Path(sys.executable).with_name("wandb")
    command = [str(wandb), "leet", "inspect", "--json", str(run)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


def test_an_offline_run_a_branch_with_interventions_and_pictures(folder: RunFolder) -> None:
    write_step(folder, "main", 1, 1e-3, wall_s=1.0)
    write_entry(folder, intervention(0, 2, wall_s=1.5))
    write_step(folder, "main", 2, 1e-4, wall_s=2.0)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder.rollouts / "step-000002.png")
    measures = {"psnr": 20.0}
    picture = {"picture": "rollouts/step-000002.png"}
    evaluation = {"evaluation": "rollout", "measures": measures, **picture}
    write_entry(folder, Entry(1, 3, "main", EntryKind.EVALUATION, 2.5, evaluation))
    mirror = Mirror(folder, "offline")
    mirror.catch_up()
    write_step(folder, "b1", 2, 1e-4, wall_s=3.0)
    mirror.close()

    logs = sorted(folder.wandb.glob("offline-run-*/*.wandb"))
    assert len(logs) == 2
    text = {log.stem.split("-", 1)[1]: json.dumps(inspect(log)) for log in logs}
    main, branch = text["steered-main"], text["steered-b1"]
    for said in ("control/event", "control/interventions", "rollout/rollout", "eval/rollout/psnr"):
        assert said in main, said
    assert "control/event" not in branch
    assert '"steered"' in main, "the group is the run folder's name"
