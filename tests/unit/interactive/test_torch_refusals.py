"""What a script's parts refuse, they refuse with a code and a hint, and nothing has changed."""

from __future__ import annotations

from typing import Any

import pytest
from torch_script import Script, planned, refused

from interactive.outcome import Reason


@pytest.mark.parametrize(
    ("command", "code", "hint"),
    [
        (
            {"command": "update_optimizer", "momentum": 0.5},
            Reason.UNSUPPORTED,
            "AdamW has no momentum",
        ),
        (
            {"command": "update_optimizer", "lr": 0.1, "group": "bdy"},
            Reason.UNKNOWN_GROUP,
            "'body'",
        ),
        (
            {"command": "update_optimizer", "lr": 0.1, "group": 7},
            Reason.UNKNOWN_GROUP,
            "did you mean",
        ),
        (
            {"command": "update_optimizer", "max_grad_norm": 1.0, "group": 0},
            Reason.UNSUPPORTED,
            "all groups",
        ),
        (
            {"command": "replace_schedule", "schedule": "CosineAnealing"},
            Reason.UNKNOWN_SCHEDULE,
            "'CosineAnnealingLR'",
        ),
        (
            {"command": "replace_schedule", "schedule": "StepLR", "arguments": {"step_size": 0}},
            Reason.OUT_OF_BOUNDS,
            "StepLR cannot be made so",
        ),
        (
            {"command": "replace_schedule", "schedule": "StepLR", "arguments": {"gama": 0.1}},
            Reason.OUT_OF_BOUNDS,
            "it has: gamma, step_size",
        ),
        (
            {
                "command": "replace_schedule",
                "schedule": "ExponentialLR",
                "arguments": {"gamma": -1},
            },
            Reason.OUT_OF_BOUNDS,
            "no learning rate",
        ),
        (
            {
                "command": "replace_schedule",
                "schedule": "OneCycleLR",
                "lr": 0.1,
                "arguments": {"max_lr": 0.2, "total_steps": 9},
            },
            Reason.OUT_OF_BOUNDS,
            "max_lr",
        ),
        (
            {
                "command": "replace_schedule",
                "schedule": "SequentialLR",
                "arguments": {"schedules": "greedy/StepLR", "milestones": [3], "1.step_size": 2},
            },
            Reason.OUT_OF_BOUNDS,
            "SequentialLR cannot be made so",
        ),
        (
            {"command": "replace_schedule", "schedule": "linear"},
            Reason.OUT_OF_BOUNDS,
            "num_warmup_steps",
        ),
        (
            {"command": "update_setting", "setting": "drop_out", "value": 0.1},
            Reason.UNKNOWN_SETTING,
            "'dropout'",
        ),
        (
            {"command": "update_setting", "setting": "dropout", "value": 0.95},
            Reason.OUT_OF_BOUNDS,
            "between 0.0 and 0.9",
        ),
        (
            {"command": "update_setting", "setting": "dropout", "value": True},
            Reason.MALFORMED,
            "number",
        ),
        (
            {"command": "update_setting", "setting": "batch", "value": 2.0},
            Reason.MALFORMED,
            "whole",
        ),
        (
            {"command": "update_setting", "setting": "double_loss", "value": 1},
            Reason.MALFORMED,
            "true",
        ),
        (
            {"command": "update_setting", "setting": "target", "value": "produkt"},
            Reason.OUT_OF_BOUNDS,
            "'product'",
        ),
        (
            {"command": "module_operation", "operation": "reset", "module": "0"},
            Reason.UNKNOWN_OPERATION,
            "'reset_parameters'",
        ),
        (
            {"command": "module_operation", "operation": "freeze", "module": "7"},
            Reason.UNKNOWN_MODULE,
            "did you mean",
        ),
        (
            {"command": "module_operation", "operation": "reset_parameters", "module": "2"},
            Reason.UNSUPPORTED,
            "these have: 0, 3",
        ),
        (
            {"command": "module_operation", "operation": "freeze", "module": "1"},
            Reason.UNSUPPORTED,
            "no parameter of 1",
        ),
        ({"command": "update_mixture", "weights": {"nera": 1.0}}, Reason.UNKNOWN_SOURCE, "'near'"),
        ({"command": "update_mixture", "drop": ["near"]}, Reason.OUT_OF_BOUNDS, "at least one"),
        ({"command": "update_mixture", "trace_cap": 0.5}, Reason.UNSUPPORTED, "no trace_cap"),
        ({"command": "update_dataset", "detach": "near"}, Reason.OUT_OF_BOUNDS, "at least one"),
        ({"command": "update_dataset", "attach": "near"}, Reason.UNSUPPORTED, "attached already"),
        ({"command": "update_dataset", "attach": "fra"}, Reason.UNKNOWN_DATASET, "'far'"),
        (
            {"command": "update_dataset", "parameters": {"shift": 0.1}},
            Reason.UNKNOWN_DATASET,
            "name",
        ),
        (
            {"command": "update_dataset", "dataset": "far", "parameters": {"shift": 7}},
            Reason.OUT_OF_BOUNDS,
            "between -1.0 and 1.0",
        ),
    ],
)
def test_refusals_have_a_code_and_a_hint(command: dict[str, Any], code: Reason, hint: str) -> None:
    parts = Script()
    before = (parts.settings(), parts.digest())
    answer = refused(parts, **command)
    assert answer.code is code
    assert hint in answer.hint
    assert (parts.settings(), parts.digest()) == before


def test_the_last_that_is_trained_is_not_frozen() -> None:
    parts = Script()
    planned(parts, command="module_operation", operation="freeze", module="0").apply()
    answer = refused(parts, command="module_operation", operation="freeze", module="3")
    assert answer.code is Reason.UNSUPPORTED
    assert "nothing would be trained" in answer.hint


def test_scaling_after_setting_is_refused() -> None:
    parts = Script()
    planned(parts, command="update_optimizer", lr=0.2).apply()
    assert "replace_schedule" in refused(parts, command="scale_schedule", factor=0.5).hint
