"""Each change of the trainer is recorded, alters training from its step on, and is replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from boundary_runs import at, interventions, rows, steer

from interactive.commands import COMMAND
from interactive.outcome import Reason, Rejected
from interactive.replaying.replay import replay
from interactive.trainer import Plan
from tests.fakes import FakeTrainer, World, data_row, delivered, make_run

CHANGES: dict[str, dict[str, Any]] = {
    "lr": {"command": "update_optimizer", "lr": 0.01},
    "schedule": {
        "command": "replace_schedule",
        "schedule": "linear",
        "arguments": {"num_training_steps": 4},
    },
    "mixture": {"command": "update_mixture", "weights": {"base": 0.0}},
    "drop": {"command": "update_mixture", "drop": ["base"]},
    "number": {"command": "update_setting", "setting": "noise", "value": 0.7},
    "flag": {"command": "update_setting", "setting": "clipped", "value": True},
    "choice": {"command": "update_setting", "setting": "target", "value": "uniform"},
    "reset": {"command": "module_operation", "operation": "reset_parameters", "module": "first"},
    "freeze": {"command": "module_operation", "operation": "freeze", "module": "second"},
    "attach": {"command": "update_dataset", "attach": "extra"},
}

REFUSED: dict[str, tuple[dict[str, Any], Reason]] = {
    "scale": ({"command": "scale_schedule", "factor": 0.5}, Reason.UNSUPPORTED),
    "schedule": (
        {"command": "replace_schedule", "schedule": "spiral"},
        Reason.UNKNOWN_SCHEDULE,
    ),
    "setting": (
        {"command": "update_setting", "setting": "mood", "value": 1},
        Reason.UNKNOWN_SETTING,
    ),
    "value": (
        {"command": "update_setting", "setting": "noise", "value": True},
        Reason.OUT_OF_BOUNDS,
    ),
    "operation": (
        {"command": "module_operation", "operation": "explode", "module": "first"},
        Reason.UNKNOWN_OPERATION,
    ),
    "module": (
        {"command": "module_operation", "operation": "freeze", "module": "third"},
        Reason.UNKNOWN_MODULE,
    ),
    "data set": ({"command": "update_dataset", "attach": "other"}, Reason.UNKNOWN_DATASET),
}


def world(*commands: Any) -> World:
    made = at(4, *commands)
    made.rows[("main", 0)] = [data_row(1, "base"), data_row(2, "live"), data_row(3, "base")]
    return made


@pytest.fixture(scope="module")
def unsteered(tmp_path_factory: pytest.TempPathFactory) -> list[str | None]:
    folder = make_run(tmp_path_factory.mktemp("unsteered") / "run", min_rows=3)
    steer(folder, world(), end=14)
    return [row.digest for row in rows(folder)]


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_alters_training_from_its_step_on_and_is_replayed(
    name: str, tmp_path: Path, unsteered: list[str | None]
) -> None:
    folder = make_run(tmp_path / "run", min_rows=3)
    steer(folder, world(delivered(1, CHANGES[name])), end=14)
    (entry,) = interventions(folder)
    assert (entry.step, entry.body["state"]) == (5, "applied")
    digests = [row.digest for row in rows(folder)]
    assert digests[:4] == unsteered[:4]
    assert digests != unsteered
    assert replay(folder.path).is_identical


def test_a_scaled_schedule_is_what_the_lr_follows(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    replaced = {**CHANGES["schedule"], "lr": 0.08}
    scaled = {"command": "scale_schedule", "factor": 0.5}
    steering = World(
        commands={
            ("main", 2): [delivered(1, replaced)],
            ("main", 3): [delivered(2, scaled)],
            ("main", 5): [delivered(3, CHANGES["lr"])],
        }
    )
    steer(folder, steering, end=7)
    lrs = [0.05, 0.05, 0.08, 0.03, 0.02, 0.01, 0.01]
    assert [row.lr for row in rows(folder)] == pytest.approx(lrs)
    assert replay(folder.path).is_identical


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_trainer_does_not_offer_is_refused(name: str) -> None:
    command, code = REFUSED[name]
    planned = FakeTrainer().plan(COMMAND.validate_python(command))  # type: ignore[arg-type]
    assert isinstance(planned, Rejected)
    assert planned.code is code
    assert planned.hint


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_is_saved_and_loaded(name: str, tmp_path: Path) -> None:
    trainer, other = FakeTrainer(), FakeTrainer()
    planned = trainer.plan(COMMAND.validate_python(CHANGES[name]))  # type: ignore[arg-type]
    assert isinstance(planned, Plan)
    planned.apply()
    trainer.save(tmp_path)
    other.load(tmp_path)
    assert json.dumps(other.settings()) == json.dumps(trainer.settings())
    assert [other.train_step() for _ in range(5)] == [trainer.train_step() for _ in range(5)]
