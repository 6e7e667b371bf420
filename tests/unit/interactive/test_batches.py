"""Several changes before the same step: all of them, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from boundary_runs import LR, at, failures, interventions, rows, steer

from interactive.commands import COMMAND, UpdateOptimizer
from interactive.record.run_folder import RunFolder
from interactive.replaying.replay import replay
from interactive.steering.boundary import Cadence
from interactive.steering.collisions import collide
from interactive.trainer import Plan
from tests.fakes import FakeTrainer, delivered, make_run, run_session

NOISE = {"command": "update_setting", "setting": "noise", "value": 0.4}
FLAG = {"command": "update_setting", "setting": "clipped", "value": True}
FREEZE = {"command": "module_operation", "operation": "freeze", "module": "first"}
DROP = {"command": "update_mixture", "drop": ["base"]}
ATTACH = {"command": "update_dataset", "attach": "extra"}
REPLACE = {"command": "replace_schedule", "schedule": "constant"}


def batch(*commands: dict[str, Any]) -> dict[str, Any]:
    return {"command": "batch", "commands": list(commands)}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run")


def test_all_changes_of_a_batch_are_one_fact(folder: RunFolder) -> None:
    trainer = steer(folder, at(3, delivered(1, batch(LR, NOISE, FLAG, FREEZE))))
    (entry,) = interventions(folder)
    assert (entry.step, entry.body["state"]) == (4, "applied")
    assert entry.body["old"]["commands"][:3] == [{"lr": 0.05}, {"noise": 0.1}, {"clipped": False}]
    assert entry.body["effective"]["commands"][:2] == [{"lr": 0.01}, {"noise": 0.4}]
    assert [row.lr for row in rows(folder)] == [0.05] * 3 + [0.01] * 5
    settings = trainer.settings()
    assert settings["settings"] == {"noise": 0.4, "clipped": True, "target": "gauss"}
    assert settings["frozen"] == ["first"]
    assert replay(folder.path).is_identical


def test_one_refusal_refuses_them_all(folder: RunFolder) -> None:
    unknown = {"command": "update_setting", "setting": "mood", "value": 1}
    trainer = steer(folder, at(3, delivered(1, batch(LR, unknown))))
    (entry,) = interventions(folder)
    assert (entry.body["state"], entry.body["code"]) == ("rejected", "unknown_setting")
    assert entry.body["hint"].startswith("number 2 of the batch (update_setting): ")
    assert trainer.settings()["optimizer"] == {"lr": 0.05}


@pytest.mark.parametrize(
    "commands",
    [(LR, LR), (LR, REPLACE), (NOISE, {**NOISE, "value": 0.1}), (FREEZE, FREEZE), (DROP, ATTACH)],
)
def test_two_changes_of_the_same_thing_are_refused(
    folder: RunFolder, commands: tuple[dict[str, Any], ...]
) -> None:
    steer(folder, at(3, delivered(1, batch(*commands))))
    (entry,) = interventions(folder)
    assert (entry.body["state"], entry.body["code"]) == ("rejected", "unsupported")
    assert "send it alone" in entry.body["hint"]


def test_numbers_of_other_groups_or_names_do_not_collide() -> None:
    def change(**numbers: Any) -> UpdateOptimizer:
        return UpdateOptimizer(**numbers)

    assert not collide(change(lr=0.1, group=0), change(lr=0.1, group=1))
    assert not collide(change(lr=0.1), change(weight_decay=0.1))
    assert collide(change(lr=0.1), change(lr=0.1, group="head"))
    scale = COMMAND.validate_python({"command": "scale_schedule", "factor": 2.0})
    assert collide(change(lr=0.1), scale)  # type: ignore[arg-type]
    assert not collide(change(eps=0.1), scale)  # type: ignore[arg-type]


class Fragile(FakeTrainer):
    """The second change of a batch breaks half-way."""

    def plan(self, command: Any) -> Any:
        planned = super().plan(command)
        if command.command != "module_operation" or not isinstance(planned, Plan):
            return planned

        def apply() -> None:
            self._weights = [0.0] * len(self._weights)
            raise RuntimeError("no such tensor")

        return Plan(planned.old, planned.requested, planned.effective, apply)


def test_a_batch_that_fails_half_way_leaves_the_trainer_as_it_was(
    folder: RunFolder, tmp_path: Path
) -> None:
    untouched = make_run(tmp_path / "untouched")
    steer(untouched, at(0))
    trainer = Fragile(seed=3, folder=folder.path)
    world = at(3, delivered(1, batch(LR, FREEZE)))
    run_session(folder, world, cadence=Cadence(end_step=8), trainer=trainer)
    (failure,) = failures(folder)
    assert failure.body["hint"] == "no such tensor"
    assert failure.body["of"] == interventions(folder)[0].seq
    assert [row.digest for row in rows(folder)] == [row.digest for row in rows(untouched)]
    assert list(folder.checkpoints.glob(".partial*")) == []
    assert replay(folder.path).is_identical
