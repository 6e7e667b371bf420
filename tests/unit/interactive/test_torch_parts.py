from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch_script import Script, bits, planned, refused, sgd

from interactive.integrations.lr_schedule import schedule_by_name
from interactive.integrations.state_tree import from_json, to_json

COMMANDS: dict[str, list[dict[str, Any]]] = {
    "set lr": [{"command": "update_optimizer", "lr": 0.2}],
    "numbers of a group": [
        {"command": "update_optimizer", "beta1": 0.5, "weight_decay": 0.1, "group": "body"},
        {"command": "update_optimizer", "lr": 0.3, "group": 1},
        {"command": "update_optimizer", "eps": 1e-6, "beta2": 0.9, "max_grad_norm": 0.1},
    ],
    "scale": [{"command": "scale_schedule", "factor": 0.5}],
    "replace": [
        {
            "command": "replace_schedule",
            "schedule": "cosine",
            "lr": 0.1,
            "arguments": {"num_warmup_steps": 2, "num_training_steps": 9},
        },
        {"command": "scale_schedule", "factor": 3.0},
    ],
    "plateau": [
        {
            "command": "replace_schedule",
            "schedule": "ReduceLROnPlateau",
            "arguments": {"patience": 0, "threshold": 0.5},
        },
    ],
    "one cycle": [
        {"command": "replace_schedule", "schedule": "OneCycleLR", "arguments": {"total_steps": 7}},
    ],
    "data sets": [
        {"command": "update_dataset", "attach": "far", "parameters": {"shift": 0.5}},
        {"command": "update_mixture", "weights": {"far": 2.5}},
    ],
    "another data set": [
        {"command": "update_dataset", "attach": "far"},
        {"command": "update_mixture", "drop": ["near"]},
    ],
    "settings": [
        {"command": "update_setting", "setting": "dropout", "value": 0.6},
        {"command": "update_setting", "setting": "double_loss", "value": True},
        {"command": "update_setting", "setting": "target", "value": "product"},
        {"command": "update_setting", "setting": "batch", "value": 7},
    ],
    "reset": [{"command": "module_operation", "operation": "reset_parameters", "module": "3"}],
    "freeze": [{"command": "module_operation", "operation": "freeze", "module": "0"}],
}


def apply(parts: Script, commands: list[dict[str, Any]]) -> None:
    for command in commands:
        planned(parts, **command).apply()


def train(parts: Script, steps: int) -> list[tuple[object, ...]]:
    return bits([parts.train_step() for _ in range(steps)])


@pytest.mark.parametrize("changes", COMMANDS.values(), ids=COMMANDS)
def test_every_command_changes_the_run_and_survives_save_resume_and_branch(
    changes: list[dict[str, Any]], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    parts = Script()
    train(parts, 3)
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    parts.save(before)
    plain = train(parts, 6)
    parts.load(before)
    apply(parts, changes)
    first = train(parts, 2)
    parts.save(after)
    settings = parts.settings()
    rest = train(parts, 4)
    assert plain != first + rest, "the command changed nothing"

    torch.manual_seed(1)
    resumed = Script()
    resumed.load(after)
    assert (resumed.step, resumed.settings()) == (5, settings)
    assert train(resumed, 4) == rest
    resumed.load(before)
    apply(resumed, changes)
    assert train(resumed, 6) == first + rest
    resumed.load(before)
    assert train(resumed, 6) == plain


def test_evaluating_and_saving_shift_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = train(Script(), 4)
    torch.manual_seed(0)
    parts, records = Script(), []
    for index in range(4):
        records += train(parts, 1)
        assert set(parts.evaluate("level", "main").measures) == {"level"}
        (tmp_path / str(index)).mkdir()
        parts.save(tmp_path / str(index))
    assert records == plain
    assert parts.model.training


def test_planning_changes_nothing() -> None:
    torch.manual_seed(0)
    plain = train(Script(), 3)
    torch.manual_seed(0)
    parts = Script()
    for changes in COMMANDS.values():
        for command in changes[:1]:
            planned(parts, **command)
    assert train(parts, 3) == plain


def test_the_record_has_the_rate_that_the_update_was_made_with() -> None:
    parts = Script(schedule=lambda opt: schedule_by_name(opt, "ExponentialLR", {"gamma": 0.5}))
    records = [parts.train_step() for _ in range(3)]
    assert [record.lr for record in records] == [0.05, 0.025, 0.0125]
    assert [record.extra["lr.1"] for record in records] == [0.02, 0.01, 0.005]


def test_plans_say_what_was_asked_and_what_it_will_be() -> None:
    parts = Script()
    plan = planned(parts, command="update_optimizer", lr=0.2)
    assert plan.old == {"lr": [0.05, 0.02]}
    assert plan.effective == {"lr": 0.2, "schedule": "detached"}
    plan.apply()
    assert planned(parts, command="update_optimizer", lr=0.1).effective == {"lr": 0.1}
    replaced = planned(
        parts, command="replace_schedule", schedule="StepLR", arguments={"step_size": 3}
    )
    assert replaced.old["attached"] == [False, False]
    assert replaced.effective["lr"] == [0.2, 0.2]
    data = planned(parts, command="update_mixture", weights={"near": 0.5})
    assert data.effective == {"weights": {"near": 0.5, "far": 1.0}, "first_step": 1, "last_step": 1}


def test_momentum_is_set_where_there_is_one_unless_the_schedule_moves_it() -> None:
    parts = Script(make=sgd)
    planned(parts, command="update_optimizer", momentum=0.5).apply()
    assert [group["momentum"] for group in parts.optimizer.param_groups] == [0.5, 0.5]
    cycle = {"max_lr": 0.1, "step_size_up": 3}
    planned(parts, command="replace_schedule", schedule="CyclicLR", arguments=cycle).apply()
    assert "moves momentum" in refused(parts, command="update_optimizer", momentum=0.4).hint
    planned(parts, command="update_optimizer", momentum=0.4, lr=0.1).apply()
    parts.train_step()
    assert parts.optimizer.param_groups[0]["momentum"] == 0.4


def test_a_reset_follows_from_seed_module_and_step_and_disturbs_no_generator() -> None:
    one, other = Script(), Script()
    for parts, seed in ((one, 1), (other, 2)):
        torch.manual_seed(seed)
        train(parts, 2)
        before = torch.get_rng_state()
        planned(parts, command="module_operation", operation="reset_parameters", module="0").apply()
        assert torch.equal(torch.get_rng_state(), before)
        assert all(p not in parts.optimizer.state for p in parts.model[0].parameters())  # type: ignore[index]
        assert all(p in parts.optimizer.state for p in parts.model[3].parameters())  # type: ignore[index]
    assert torch.equal(one.model[0].weight, other.model[0].weight)  # type: ignore[index]
    planned(one, command="module_operation", operation="reset_parameters", module="3").apply()
    assert not torch.equal(one.model[0].weight[0], one.model[3].weight[0, :2])  # type: ignore[index]


def test_a_reset_that_fails_leaves_the_module_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Script()
    before = parts.digest()

    def spoil(module: nn.Linear) -> None:
        nn.init.zeros_(module.weight)
        raise RuntimeError("half done")

    monkeypatch.setattr(nn.Linear, "reset_parameters", spoil)
    plan = planned(parts, command="module_operation", operation="reset_parameters", module="0")
    with pytest.raises(RuntimeError, match="half done"):
        plan.apply()
    assert parts.digest() == before


@pytest.mark.parametrize("damage", ["shape", "missing", "truncated", "groups"])
def test_a_foreign_folder_is_refused_and_changes_nothing(tmp_path: Path, damage: str) -> None:
    parts = Script()
    parts.train_step()
    parts.save(tmp_path)
    train(parts, 2)
    before = parts.digest()
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    if damage == "shape":
        tensors[".0.weight"] = torch.zeros(1)
    elif damage == "missing":
        del tensors[".0.weight"]
    save_file(tensors, path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:50])
    if damage == "groups":
        optimizer = tmp_path / "optimizer.json"
        tree = json.loads(optimizer.read_text())
        tree["groups"].pop()
        optimizer.write_text(json.dumps(tree))
    expected = {"truncated": "model", "groups": "parameter groups"}.get(damage, r"0\.weight")
    with pytest.raises(ValueError, match=expected):
        parts.load(tmp_path)
    assert (parts.digest(), parts.step) == (before, 3)


def test_what_can_only_be_pickled_is_not_saved() -> None:
    with pytest.raises(TypeError, match=r"also\.thing is a object"):
        to_json({"also": {"thing": object()}})


def test_trees_come_back_as_they_were() -> None:
    tensors: dict[str, torch.Tensor] = {}
    tree = {"a": (1, 2.5, None), 7: [float("inf"), True], "t": torch.arange(3), "$": {"x": "y"}}
    obj = json.loads(json.dumps(to_json(tree, tensors), allow_nan=False))
    back = from_json(obj, tensors)
    assert torch.equal(back.pop("t"), torch.arange(3))
    assert back == {"a": (1, 2.5, None), 7: [float("inf"), True], "$": {"x": "y"}}


def test_capabilities_name_all_that_can_be_asked() -> None:
    able = Script(make=sgd).capabilities()
    assert able["optimizer"] == ["lr", "weight_decay", "momentum", "max_grad_norm"]
    assert able["groups"] == ["body", "1"]
    assert {"OneCycleLR", "warmup_stable_decay"} <= set(able["schedules"])
    assert able["settings"]["batch"] == {"kind": "number", "low": 1, "high": 64, "whole": True}
    assert able["operations"]["reset_parameters"] == ["0", "3"]
    json.dumps(able, allow_nan=False)
