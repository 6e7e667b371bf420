"""What is accepted from whom: bounds, ratios, cool-down, budgets, rates; each with a hint."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest
from served_run import ServedRun, envelope, post

from interactive.commands import Envelope
from interactive.outcome import Reason, Rejected
from interactive.policy import COMMANDS, AgentLimits, Hold, Policy, Role, RoleLimits, RunView

FREE = AgentLimits(lr_ratio=0.0, approval={})


def lr(value: float) -> dict[str, Any]:
    return {"command": "update_optimizer", "lr": value}


def scale(factor: float) -> dict[str, Any]:
    return {"command": "scale_schedule", "factor": factor}


def judge(command: Any, policy: Policy, view: RunView | None = None, **more: Any) -> Any:
    wrapped = Envelope.model_validate(envelope(command, **more))
    return policy.judge(wrapped, Role.AGENT, view or RunView(lr=1e-3, step=100))


def code(verdict: Any) -> str | None:
    if isinstance(verdict, Rejected):
        assert verdict.hint
        return verdict.code.value
    return None


def test_every_command_has_a_name_here() -> None:
    assert len(COMMANDS) == len(set(COMMANDS)) == 16
    assert {"update_optimizer", "batch", "note"} <= set(COMMANDS)


SCHEDULE = {"command": "replace_schedule", "schedule": "cosine"}
SETTINGS = {
    "dropout": {"kind": "number", "low": 0.0, "high": 0.5},
    "ema": {"kind": "flag"},
    "head": {"kind": "choice", "choices": ["linear", "mlp"]},
    "free": {"kind": "number", "low": None, "high": "Infinity"},
}


def setting(name: str, value: Any) -> dict[str, Any]:
    return {"command": "update_setting", "setting": name, "value": value}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (lr(2.0), "out_of_bounds"),
        (scale(1e7), "out_of_bounds"),
        (scale(1e-7), "out_of_bounds"),
        ({**SCHEDULE, "lr": 5.0}, "out_of_bounds"),
        ({**SCHEDULE, "arguments": {"num_training_steps": 1e13}}, "out_of_bounds"),
        ({**SCHEDULE, "arguments": {"milestones": [10, 10**400]}}, "out_of_bounds"),
        ({**SCHEDULE, "arguments": {"name": "x", "on": True, "steps": 500}}, None),
        ({"command": "update_dataset", "parameters": {"p": -1e13}}, "out_of_bounds"),
        ({"command": "batch", "commands": [scale(2.0), lr(2.0)]}, "out_of_bounds"),
        (setting("dropout", 0.6), "out_of_bounds"),
        (setting("dropout", True), "out_of_bounds"),
        (setting("dropout", 0.5), None),
        (setting("dropuot", 0.5), "unknown_setting"),
        (setting("ema", 1), "out_of_bounds"),
        (setting("ema", False), None),
        (setting("head", "cnn"), "out_of_bounds"),
        (setting("head", "mlp"), None),
        (setting("free", -(10**500)), None),
        ({"command": "batch", "commands": [setting("head", "cnn")]}, "out_of_bounds"),
    ],
    ids=str,
)
def test_numbers_outside_their_bounds_are_refused(command: Any, expected: str | None) -> None:
    view = RunView(settings=SETTINGS)
    assert code(judge(command, Policy(agent=FREE), view)) == expected


def test_bounds_of_ones_own_hold_and_the_others_stay() -> None:
    policy = Policy(bounds={"lr": (1e-5, 1e-3)}, agent=FREE)
    assert code(judge(lr(1e-6), policy)) == "out_of_bounds"
    assert code(judge(lr(1e-4), policy)) is None
    assert code(judge(scale(1e9), policy)) == "out_of_bounds"


@pytest.mark.parametrize(
    ("command", "is_too_large"),
    [
        (lr(1e-2), False),
        (lr(1.1e-2), True),
        (lr(1e-4), False),
        (lr(0.9e-4), True),
        (scale(10.0), False),
        (scale(11.0), True),
        ({**SCHEDULE, "lr": 0.5}, True),
        (SCHEDULE, False),
        ({"command": "batch", "commands": [scale(4.0), scale(4.0)]}, True),
        ({"command": "update_optimizer", "weight_decay": 5.0}, False),
    ],
    ids=str,
)
def test_an_agent_changes_the_learning_rate_by_so_much(command: Any, is_too_large: bool) -> None:
    policy = Policy(agent=AgentLimits(lr_ratio=10.0))
    assert code(judge(command, policy)) == ("change_too_large" if is_too_large else None)
    wrapped = Envelope.model_validate(envelope(command))
    assert policy.judge(wrapped, Role.OPERATOR, RunView(lr=1e-3)) is None


def test_a_change_is_compared_with_something() -> None:
    unknown = judge(lr(1e-3), Policy(), RunView(lr=None))
    assert code(unknown) == "change_too_large"
    assert "not known yet" in unknown.hint


def test_small_changes_that_wait_do_not_add_up_to_a_large_one() -> None:
    waiting = [Envelope.model_validate(envelope(scale(5.0)))]
    view = RunView(lr=1e-3, waiting=waiting)
    assert code(judge(scale(5.0), Policy(), view)) == "change_too_large"
    assert code(judge(scale(2.0), Policy(), view)) is None


@pytest.mark.parametrize(
    ("last", "at_step", "is_too_soon"),
    [(95, None, True), (91, None, False), (95, 105, False), (None, None, False), (103, 95, True)],
)
def test_changes_of_one_agent_keep_their_distance(
    last: int | None, at_step: int | None, is_too_soon: bool
) -> None:
    policy = Policy(agent=AgentLimits(cooldown_steps=10))
    view = RunView(lr=1e-3, step=100, last_change=last)
    more = {} if at_step is None else {"at_step": at_step}
    assert code(judge(lr(2e-3), policy, view, **more)) == ("cooling_down" if is_too_soon else None)
    assert code(judge({"command": "note", "text": "x"}, policy, view)) is None


def test_a_change_that_waits_counts_too() -> None:
    policy = Policy(agent=AgentLimits(cooldown_steps=10))
    waits = Envelope.model_validate(envelope(lr(2e-3), at_step=150))
    view = RunView(lr=1e-3, step=100, waiting=[waits])
    assert code(judge(lr(2e-3), policy, view, at_step=145)) == "cooling_down"
    assert code(judge(lr(2e-3), policy, view, at_step=160)) is None
    replaced = judge(lr(2e-3), policy, view, at_step=145, supersedes=str(waits.command_id))
    assert code(replaced) is None


def test_budgets_and_rates() -> None:
    policy = Policy(agent=AgentLimits(commands=3, commands_per_minute=2))
    note = {"command": "note", "text": "x"}
    assert code(judge(note, policy, RunView(accepted=3))) == "budget_spent"
    assert code(judge(note, policy, RunView(accepted=2, recent=2))) == "rate_limited"
    assert code(judge(note, policy, RunView(accepted=2, recent=1))) is None


def test_the_longest_window_counts_and_a_yes_outweighs_it() -> None:
    limits = RoleLimits(approval={"update_setting": 5.0, "scale_schedule": 9.0, "note": 0.0})
    policy = Policy(agent=AgentLimits(approval=limits.approval))
    both = {"command": "batch", "commands": [setting("a", 1), scale(2.0)]}
    assert judge(both, policy) == Hold(9.0)
    assert judge({"command": "note", "text": "x"}, policy) == Hold(None)
    assert judge({"command": "evaluate"}, policy) is None


def test_a_batch_does_not_hide_a_forbidden_command() -> None:
    policy = Policy(agent=AgentLimits(forbidden=("update_setting",)))
    batch = {"command": "batch", "commands": [scale(2.0), setting("a", 1)]}
    assert code(judge(batch, policy)) == Reason.FORBIDDEN.value


# ---- as the server applies it


def test_the_server_knows_the_run_and_the_sender(tmp_path: Path) -> None:
    policy = Policy(agent=AgentLimits(cooldown_steps=10, commands=4, commands_per_minute=3))
    run = ServedRun(tmp_path / "run", policy)

    def ask(command: Any, **more: Any) -> Any:
        return post(run.client(Role.AGENT), envelope(command, **more)).json().get("code")

    assert ask(lr(1e-3)) == "change_too_large"
    run.write_entry("session", capabilities={"settings": SETTINGS})
    run.write_metrics({"step": 20, "loss": 1.0, "lr": 1e-3})
    agent = {"name": "agent", "kind": "script"}
    run.write_outcome(str(uuid.uuid4()), step=15, issuer=agent, command=lr(1e-3))
    asyncio.run(run.service.refresh())
    assert ask(lr(2e-3)) == "cooling_down"
    assert ask(lr(2e-3), at_step=25) is None
    assert ask(lr(2e-3), at_step=99) == "rate_limited"  # refused ones are counted too
    run.clock.now_s += 61
    assert ask(setting("dropout", 9.0)) == "out_of_bounds"
    assert ask(lr(2e-3), at_step=26) == "cooling_down"  # the other one waits still
    assert ask({"command": "note", "text": "x"}) is None
    assert ask({"command": "note", "text": "x"}) == "rate_limited"
    for _ in range(2):
        run.clock.now_s += 61
        assert ask({"command": "note", "text": "x"}) is None
    run.clock.now_s += 61
    assert ask({"command": "note", "text": "x"}) == "budget_spent"
    assert post(run.client(), envelope(lr(1e-12 * 2))).status_code == 202  # people are free


def test_a_rate_is_told_by_its_own_status(tmp_path: Path) -> None:
    run = ServedRun(tmp_path / "run", Policy(agent=AgentLimits(commands_per_minute=1)))
    body = envelope({"command": "note", "text": "x"})
    assert post(run.client(Role.AGENT), body).status_code == 202
    assert post(run.client(Role.AGENT), envelope({"command": "evaluate"})).status_code == 429
    assert post(run.client(Role.AGENT), body).status_code == 202  # the same one again


def test_a_way_back_from_a_loss_that_is_no_number_waits_for_nobody() -> None:
    back = {"command": "load_checkpoint", "checkpoint": "main-000100"}
    assert judge(back, Policy(), RunView(step=120)) == Hold(60.0)
    assert judge(back, Policy(), RunView(step=120, diverged=True)) is None
