"""What every learning-rate schedule promises, said by torch and transformers alone.

A case trains a tiny optimizer of two groups for some steps. Beside it runs the plain
schedule, made as a script would, on an optimizer that nobody steers: from its rates follows
what a steered run must read from its own optimizer, at every step.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim import SGD, Optimizer, lr_scheduler

from interactive.integrations.lr_schedule import LrSchedule, schedule_around, schedule_by_name

STEPS = 26
CHANGED = 11
"""The steps made before the rate is set, scaled, or its schedule replaced."""
EARLY, LATE = 6, 17
"""The steps made before what may disturb the rate, before and after it is changed."""
LRS = (0.1, 0.02)
SET, FACTOR = 0.0371, 0.37
METRICS = (1.0, 0.9, 0.8, 0.8, 0.8, 0.8, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6) * 2
OPERATIONS = ("none", "set", "scale", "replace", "begin")
"""``replace`` puts another schedule in the case's place; ``begin`` it in that of a constant one."""
MOMENTS = ("save", "resume", "branch")

Make = Callable[[Optimizer], Any]


def halving(epoch: int) -> float:
    return 1.0 / (1 + epoch)


def shrinking(epoch: int) -> float:
    return 0.9 if epoch % 2 else 0.97


FUNCTIONS = {"halving": halving, "shrinking": shrinking}


@dataclass(frozen=True)
class Case:
    """A schedule by name and arguments, and how a script makes the same."""

    schedule: str
    arguments: dict[str, Any]
    plain: Make = field(compare=False)
    label: str = ""

    @property
    def name(self) -> str:
        return self.label or self.schedule


def torchs(schedule: str, label: str = "", **arguments: Any) -> Case:
    kind = getattr(lr_scheduler, schedule)
    return Case(schedule, arguments, lambda optimizer: kind(optimizer, **arguments), label)


def functional(schedule: str, name: str) -> Case:
    kind = getattr(lr_scheduler, schedule)
    return Case(schedule, {"lr_lambda": name}, lambda opt: kind(opt, FUNCTIONS[name]))


def hugging(
    schedule: str, *, warmup: int | None = None, total: int | None = None, **rest: Any
) -> Case:
    def make(optimizer: Optimizer) -> Any:
        from transformers import get_scheduler

        return get_scheduler(schedule, optimizer, warmup, total, dict(rest))

    steps = {"num_warmup_steps": warmup, "num_training_steps": total}
    given = {key: value for key, value in steps.items() if value is not None}
    return Case(schedule, {**given, **rest}, make)


def in_sequence(optimizer: Optimizer) -> Any:
    parts = [
        lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=4),
        lr_scheduler.CosineAnnealingLR(optimizer, T_max=9),
        lr_scheduler.MultiStepLR(optimizer, [3, 5]),
    ]
    return lr_scheduler.SequentialLR(optimizer, parts, [4, 14])


def chained(optimizer: Optimizer) -> Any:
    parts = [
        lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=7),
        lr_scheduler.ExponentialLR(optimizer, gamma=0.93),
    ]
    return lr_scheduler.ChainedScheduler(parts, optimizer=optimizer)


CASES = (
    functional("LambdaLR", "halving"),
    functional("MultiplicativeLR", "shrinking"),
    torchs("StepLR", step_size=4, gamma=0.5),
    torchs("MultiStepLR", milestones=[3, 3, 9, 19], gamma=0.3),
    torchs("ConstantLR", factor=0.25, total_iters=8),
    torchs("LinearLR", start_factor=0.1, end_factor=0.9, total_iters=15),
    torchs("ExponentialLR", gamma=0.91),
    torchs("PolynomialLR", total_iters=30, power=2.0),
    torchs("CosineAnnealingLR", T_max=12, eta_min=0.001),
    torchs("CosineAnnealingWarmRestarts", T_0=4, T_mult=2, eta_min=0.001),
    torchs("CyclicLR", base_lr=0.01, max_lr=0.2, step_size_up=5),
    torchs(
        "CyclicLR", "CyclicLR exp_range", base_lr=0.01, max_lr=0.2, mode="exp_range", gamma=0.97
    ),
    torchs("OneCycleLR", max_lr=0.3, total_steps=40),
    torchs("OneCycleLR", "OneCycleLR three phases", max_lr=0.3, total_steps=40, three_phase=True),
    torchs("ReduceLROnPlateau", patience=1, factor=0.5),
    Case(
        "SequentialLR",
        {
            "schedules": "LinearLR/CosineAnnealingLR/MultiStepLR",
            "milestones": [4, 14],
            "0.start_factor": 0.25,
            "0.total_iters": 4,
            "1.T_max": 9,
            "2.milestones": [3, 5],
        },
        in_sequence,
    ),
    Case(
        "ChainedScheduler",
        {
            "schedules": "ConstantLR/ExponentialLR",
            "0.factor": 0.5,
            "0.total_iters": 7,
            "1.gamma": 0.93,
        },
        chained,
    ),
    hugging("linear", warmup=4, total=24),
    hugging("cosine", warmup=4, total=30),
    hugging("cosine_with_restarts", warmup=4, total=30, num_cycles=3),
    hugging("polynomial", warmup=4, total=30, power=2.0, lr_end=1e-4),
    hugging("constant"),
    hugging("constant_with_warmup", warmup=14),
    hugging("inverse_sqrt", warmup=4),
    hugging("reduce_lr_on_plateau", patience=1, factor=0.5),
    hugging("cosine_with_min_lr", warmup=4, total=30, min_lr=0.01),
    hugging("cosine_warmup_with_min_lr", warmup=4, total=30, min_lr=0.01, warmup_lr_rate=0.1),
    hugging("warmup_stable_decay", warmup=4, total=28, num_decay_steps=10),
    hugging("greedy", patience=1, factor=0.8, min_lr=0.001, smooth=True, window_size=3),
)


def make_optimizer(lrs: Sequence[float] = LRS) -> SGD:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return SGD(groups, lr=lrs[0], momentum=0.9)


def make_steered(case: Case, operation: str, given: bool) -> LrSchedule:
    optimizer = make_optimizer()
    if operation == "begin":
        case = CONSTANT
    if given:
        return schedule_around(case.plain(optimizer), FUNCTIONS)
    return schedule_by_name(optimizer, case.schedule, case.arguments, FUNCTIONS)


def plain_rates(
    case: Case, lrs: Sequence[float], first: int, steps: int
) -> list[tuple[float, ...]]:
    """Return what the schedule alone gives from the step after ``first``, and for the one after."""
    optimizer = make_optimizer(lrs)
    schedule = case.plain(optimizer)
    rates = []
    for step in range(first, first + steps):
        rates.append(read(optimizer))
        optimizer.step()
        if "Plateau" in type(schedule).__name__ or "Greedy" in type(schedule).__name__:
            schedule.step(METRICS[step])
        else:
            schedule.step()
    return rates


def promised(case: Case, operation: str) -> list[tuple[float, ...]]:
    """Return the rates of all steps of a run in which an operation came at its step."""
    rates = plain_rates(CONSTANT if operation == "begin" else case, LRS, 0, STEPS)
    before, after = rates[:CHANGED], rates[CHANGED:]
    match operation:
        case "set":
            after = [(SET,) * len(LRS)] * len(after)
        case "scale":
            after = [tuple(FACTOR * lr for lr in lrs) for lrs in after]
        case "replace":
            after = plain_rates(REPLACEMENT, after[0], CHANGED, len(after))
        case "begin":
            after = plain_rates(case, after[0], CHANGED, len(after))
    return [*before, *after]


CONSTANT = torchs("ConstantLR", factor=1.0)
REPLACEMENT = torchs("CosineAnnealingWarmRestarts", T_0=5, eta_min=0.0005)


def read(optimizer: Optimizer) -> tuple[float, ...]:
    return tuple(float(group["lr"]) for group in optimizer.param_groups)


class Run:
    """Trains under a steered schedule, and reads the rate that each update is made with."""

    def __init__(self, case: Case, operation: str, given: bool) -> None:
        self.case, self.operation, self.given = case, operation, given
        self.schedule = make_steered(case, operation, given)
        self.rates: list[tuple[float, ...]] = []

    def train(self, steps: int) -> None:
        while len(self.rates) < steps:
            if len(self.rates) == CHANGED:
                self._change()
            optimizer = self.schedule.optimizer
            self.rates.append(read(optimizer))
            optimizer.step()
            self.schedule.step(METRICS[len(self.rates) - 1])

    def saved(self) -> str:
        return json.dumps([self.rates, self.schedule.state_dict()], allow_nan=False)

    def load(self, saved: str) -> None:
        rates, state = json.loads(saved)
        self.rates = [tuple(lrs) for lrs in rates]
        self.schedule.load_state_dict(state)

    def disturb(self, moment: str) -> None:
        """Save; go on in a fresh process's objects; or come back to here from a later step."""
        saved = self.saved()
        if moment == "resume":
            self.schedule = make_steered(self.case, self.operation, self.given)
            self.load(saved)
        elif moment == "branch":
            self.train(len(self.rates) + 7)
            self.schedule.set(9.9)
            self.load(saved)

    def _change(self) -> None:
        match self.operation:
            case "set":
                self.schedule.set(SET)
            case "scale":
                self.schedule.scale(FACTOR)
            case "replace":
                self.schedule.replace(REPLACEMENT.schedule, REPLACEMENT.arguments)
            case "begin":
                self.schedule.replace(self.case.schedule, self.case.arguments)


def read_rates(
    case: Case, operation: str, moment: str, at: int, given: bool
) -> list[tuple[float, ...]]:
    """Return the rates read in a run that was disturbed after ``at`` steps."""
    run = Run(case, operation, given)
    run.train(at)
    run.disturb(moment)
    run.train(STEPS)
    return run.rates


def table() -> Iterator[dict[str, Any]]:
    """Yield each row: a schedule, an operation, a moment, and how far the rates are off."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in CASES:
            for operation in OPERATIONS:
                wanted = promised(case, operation)
                for moment in MOMENTS:
                    for at in (EARLY, LATE):
                        yield {
                            "schedule": case.name,
                            "operation": operation,
                            "moment": f"{'before' if at < CHANGED else 'after'} {moment}",
                            "steps": STEPS,
                            "max_abs_err": max(
                                _distance(wanted, read_rates(case, operation, moment, at, given))
                                for given in (False, True)
                            ),
                        }


def _distance(ones: list[tuple[float, ...]], others: list[tuple[float, ...]]) -> float:
    pairs = zip(ones, others, strict=True)
    return max(abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True))
