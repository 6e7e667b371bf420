"""The truth table: the rate read from the optimizer is the one promised, for every schedule."""

from __future__ import annotations

import pytest
from lr_promises import (
    CASES,
    CHANGED,
    EARLY,
    FUNCTIONS,
    LATE,
    MOMENTS,
    OPERATIONS,
    Case,
    Run,
    make_optimizer,
    promised,
    read,
    read_rates,
)
from torch.optim import AdamW, lr_scheduler

from interactive.integrations.lr_catalogue import HF_SCHEDULES, TORCH_SCHEDULES, offered
from interactive.integrations.lr_schedule import schedule_around, schedule_by_name


@pytest.mark.parametrize("given", [False, True], ids=["by name", "around"])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_rate_is_the_one_promised(case: Case, operation: str, given: bool) -> None:
    wanted = promised(case, operation)
    for moment in MOMENTS:
        for at in (EARLY, LATE):
            assert read_rates(case, operation, moment, at, given) == wanted, (moment, at)


def test_the_table_has_every_schedule_of_torch_and_transformers() -> None:
    from transformers import SchedulerType

    torchs = {name for name in lr_scheduler.__all__ if name != "LRScheduler"}
    assert set(TORCH_SCHEDULES) == torchs
    assert set(HF_SCHEDULES) == {kind.value for kind in SchedulerType}
    assert {case.schedule for case in CASES} == torchs | set(HF_SCHEDULES)
    assert set(offered(FUNCTIONS)) == torchs | set(HF_SCHEDULES)


def test_the_table_would_see_a_rate_that_comes_a_step_late() -> None:
    case = next(case for case in CASES if case.schedule == "ExponentialLR")
    run = Run(case, "scale", given=False)
    run.train(CHANGED)
    run.operation = "none"
    run.train(CHANGED + 1)
    run.schedule.scale(0.37)
    run.train(20)
    wrong = [a == b for a, b in zip(run.rates, promised(case, "scale"), strict=False)]
    assert wrong.index(False) == CHANGED


def test_one_group_is_set_and_the_other_goes_on() -> None:
    optimizer = make_optimizer()
    schedule = schedule_by_name(optimizer, "ExponentialLR", {"gamma": 0.5})
    schedule.set(0.7, groups=[0])
    schedule.step()
    assert read(optimizer) == (0.7, 0.01)
    schedule.scale(2.0)
    assert read(optimizer) == (0.7, 0.02)
    assert schedule.attached == (False, True)


def test_scaling_what_is_detached_is_an_error() -> None:
    schedule = schedule_by_name(make_optimizer())
    schedule.set(0.5)
    with pytest.raises(ValueError, match="detached"):
        schedule.scale(2.0)


def test_momentum_follows_while_attached_and_holds_once_detached() -> None:
    weights = make_optimizer().param_groups[0]["params"]
    plain, steered = (AdamW(weights, lr=0.1, betas=(0.8, 0.99)) for _ in range(2))
    one = lr_scheduler.OneCycleLR(plain, max_lr=0.1, total_steps=20)
    other = schedule_by_name(steered, "OneCycleLR", {"total_steps": 20})
    assert other.moves_momentum
    for _ in range(6):
        assert steered.param_groups[0]["betas"] == plain.param_groups[0]["betas"]
        for optimizer, schedule in ((plain, one), (steered, other)):
            optimizer.step()
            schedule.step()
    other.set(0.05)
    held = steered.param_groups[0]["betas"]
    other.step()
    assert steered.param_groups[0]["betas"] == held
    assert held[1] == 0.99
    assert not other.moves_momentum


def test_one_cycle_holds_its_last_rate_where_torch_would_raise() -> None:
    optimizer = make_optimizer()
    schedule = schedule_by_name(optimizer, "OneCycleLR", {"total_steps": 5})
    rates = []
    for _ in range(9):
        rates.append(read(optimizer))
        schedule.step()
    assert rates[4:] == [rates[4]] * 5
    assert rates[3] != rates[4]


def test_a_named_schedule_that_fails_later_holds_and_says_so() -> None:
    optimizer = make_optimizer()
    schedule = schedule_by_name(optimizer, "ExponentialLR", {"gamma": 1e200})
    schedule.step()
    with pytest.warns(UserWarning, match="holds"):
        schedule.step()
    schedule.step()
    assert read(optimizer) == (0.1 * 1e200, 0.02 * 1e200)
    assert "inf" in schedule.describe()["ended"]


def test_a_schedule_of_the_script_that_fails_is_the_scripts_matter() -> None:
    def failing(epoch: int) -> float:
        return 1 / (2 - epoch)

    schedule = schedule_around(lr_scheduler.LambdaLR(make_optimizer(), failing))
    schedule.step()
    with pytest.raises(ZeroDivisionError):
        schedule.step()


def test_a_plateau_holds_until_its_metric_comes() -> None:
    optimizer = make_optimizer()
    schedule = schedule_by_name(optimizer, "ReduceLROnPlateau", {"patience": 0, "factor": 0.5})
    assert schedule.follows_metric
    for _ in range(5):
        schedule.step()
    assert read(optimizer) == (0.1, 0.02)
    for _ in range(2):
        schedule.step(1.0)
    assert read(optimizer) == (0.05, 0.01)


def test_a_state_of_something_else_is_refused() -> None:
    schedule = schedule_by_name(make_optimizer())
    with pytest.raises(ValueError, match="another schedule"):
        schedule.load_state_dict(lr_scheduler.ConstantLR(make_optimizer()).state_dict())
    given = schedule_around(lr_scheduler.ConstantLR(make_optimizer()))
    with pytest.raises(ValueError, match="make it again"):
        schedule.load_state_dict(given.state_dict())
