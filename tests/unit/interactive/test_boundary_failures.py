"""What a boundary does when something goes wrong: recorded, and training goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from boundary_runs import (
    EVALUATE,
    LR,
    NOTE,
    SAVE,
    at,
    failures,
    interventions,
    rows,
    steer,
)

from interactive.record.ledger import Entry, EntryKind, LedgerWriter
from interactive.record.run_folder import RunFolder
from interactive.steering.boundary import Cadence
from tests.fakes import (
    World,
    build_fake_trainer,
    delivered,
    make_run,
    run_session,
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run")


def test_a_damaged_checkpoint_is_refused_by_name(folder: RunFolder) -> None:
    steer(folder, at(2, delivered(1, SAVE)), end=4)
    (folder.checkpoints / "main-000002" / "state.json").write_text("{}")
    load = {"command": "load_checkpoint", "checkpoint": "main-000002"}
    steer(folder, at(5, delivered(2, load)))
    refusal = interventions(folder)[-1].body
    assert refusal["code"] == "unknown_checkpoint"
    assert "main-000002: state.json has other bytes" in refusal["hint"]
    assert "main-000004" in refusal["hint"]


@pytest.mark.parametrize(
    ("verb", "commands"),
    [
        ("apply", [LR]),
        ("save", [SAVE]),
        ("evaluate", [EVALUATE]),
        ("load", [SAVE, {"command": "load_checkpoint", "checkpoint": "main-000003"}]),
    ],
)
def test_a_failure_is_recorded_and_training_goes_on_as_if_nothing_had_been_asked(
    folder: RunFolder, tmp_path: Path, verb: str, commands: list[Any]
) -> None:
    trainer = build_fake_trainer(folder.config, folder.path)
    trainer.failing[verb] = OSError(28, "No space left on device")
    world = at(3, *(delivered(n, c) for n, c in enumerate(commands, start=1)))
    run_session(folder, world, cadence=Cadence(end_step=8), trainer=trainer)
    last = interventions(folder)[-1]
    assert last.seq in [f.body["of"] for f in failures(folder)]
    assert "No space left" in failures(folder)[0].body["hint"]
    untouched = make_run(tmp_path / "untouched")
    steer(untouched, World())
    assert [r.digest for r in rows(folder)] == [r.digest for r in rows(untouched)]
    assert {row.branch for row in rows(folder)} == {"main"}


def test_a_plan_that_raises_is_a_refusal(folder: RunFolder) -> None:
    trainer = build_fake_trainer(folder.config, folder.path)
    trainer.failing["plan"] = KeyError("group")
    run_session(folder, at(3, delivered(1, LR)), cadence=Cadence(end_step=5), trainer=trainer)
    assert interventions(folder)[0].body["code"] == "unsupported"


def test_a_disk_that_takes_no_entry_makes_a_command_wait_not_the_training(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [True, True, True]
    append = LedgerWriter.append

    def refuse(self: LedgerWriter, kind: EntryKind, **fields: Any) -> Entry:
        if kind is EntryKind.INTERVENTION and full:
            full.pop()
            raise OSError(28, "No space left on device")
        return append(self, kind, **fields)

    monkeypatch.setattr(LedgerWriter, "append", refuse)
    warnings: list[str] = []
    world = at(2, delivered(1, LR))
    run_session(folder, world, cadence=Cadence(end_step=8), warnings=warnings)
    assert [e.step for e in interventions(folder)] == [6]
    assert [row.lr for row in rows(folder)] == [0.05] * 5 + [0.01] * 3
    assert len(warnings) == 3


def test_a_failure_that_the_disk_did_not_take_is_recorded_later(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = LedgerWriter.append
    full = [True]

    def refuse(self: LedgerWriter, kind: EntryKind, **fields: Any) -> Entry:
        if kind is EntryKind.FAILURE and full:
            full.pop()
            raise OSError(28, "No space left on device")
        return append(self, kind, **fields)

    monkeypatch.setattr(LedgerWriter, "append", refuse)
    trainer = build_fake_trainer(folder.config, folder.path)
    trainer.failing["evaluate"] = ValueError("no frames")
    world = at(2, delivered(1, EVALUATE), delivered(2, NOTE))
    run_session(folder, world, cadence=Cadence(end_step=8), trainer=trainer)
    (failure,) = failures(folder)
    assert failure.body["of"] == interventions(folder)[0].seq
