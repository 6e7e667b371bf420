"""The learning-rate schedules of torch and transformers, by name and arguments."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from torch.optim import lr_scheduler

from interactive.integrations.schedule_shadow import Shadow

TORCH_SCHEDULES = (
    "LambdaLR",
    "MultiplicativeLR",
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "PolynomialLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "ChainedScheduler",
)
HF_SCHEDULES = (
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "reduce_lr_on_plateau",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
    "greedy",
)
"""Those of ``transformers.get_scheduler``; the ``hf`` extra installs it."""

COMPOSED = ("SequentialLR", "ChainedScheduler")
OF_FUNCTIONS = ("LambdaLR", "MultiplicativeLR")
_BASES = {"CyclicLR": "base_lr", "OneCycleLR": "max_lr"}
"""The argument that says what other schedules take from the optimizer."""
_NOT_OFFERED = {"self", "optimizer", "last_epoch", "verbose", "scale_fn", "schedulers", "kwargs"}
_HF_ARGUMENTS = ("num_warmup_steps", "num_training_steps")
_TRIAL_STEPS = 200

Functions = Mapping[str, Callable[[int], float]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a schedule was made from: its name, its arguments, and the rates it began with."""

    schedule: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    lrs: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as a JSON object."""
        return {
            "schedule": self.schedule,
            "arguments": dict(self.arguments),
            "lrs": list(self.lrs),
        }

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Recipe:
        """Return the recipe of ``to_json``'s object."""
        return cls(obj["schedule"], obj["arguments"], tuple(obj["lrs"]))


def offered(functions: Functions) -> tuple[str, ...]:
    """Return the names of the schedules that can be made here."""
    torchs = [name for name in TORCH_SCHEDULES if functions or name not in OF_FUNCTIONS]
    return (*torchs, *(HF_SCHEDULES if find_spec("transformers") else ()))


def make_schedule(
    name: str, arguments: Mapping[str, Any], shadow: Shadow, functions: Functions
) -> Any:
    """Return a schedule on a shadow whose groups hold the rates to begin with.

    ``SequentialLR`` and ``ChainedScheduler`` name their parts in ``schedules``, with strokes
    between them; ``0.gamma`` is the argument ``gamma`` of the first. ``LambdaLR`` and
    ``MultiplicativeLR`` name a registered function in ``lr_lambda``.

    Raises:
        ValueError: there is no such schedule, argument or function, or it does not take
            these values; the message says which.
        TypeError: as ValueError.
        ArithmeticError: as ValueError.
    """
    if name not in offered(functions):
        raise ValueError(f"no schedule {name!r}; did you mean {nearest_schedule(name, functions)}?")
    if name in COMPOSED:
        return _compose(name, arguments, shadow, functions)
    if name in HF_SCHEDULES:
        return _make_hf(name, arguments, shadow)
    kind = getattr(lr_scheduler, name)
    _check_arguments(name, arguments, inspect.signature(kind).parameters)
    named = dict(arguments)
    if name in OF_FUNCTIONS:
        named["lr_lambda"] = _function(arguments.get("lr_lambda"), functions)
    if name in _BASES:
        named.setdefault(_BASES[name], shadow.lrs())
    return kind(shadow, **named)


def try_schedule(
    name: str, arguments: Mapping[str, Any], shadow: Shadow, functions: Functions
) -> None:
    """Make a schedule and run it for a while, to be sure of it.

    Raises:
        ValueError: it cannot be made, or gives what is no learning rate.
        TypeError: as ValueError.
        ArithmeticError: as ValueError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schedule = make_schedule(name, arguments, shadow, functions)
        check_rates(shadow.lrs())
        for _ in range(_TRIAL_STEPS):
            advance(schedule, 1.0)
            check_rates(shadow.lrs())


def advance(schedule: Any, metric: float | None, epoch: float | None = None) -> None:
    """Let a schedule make its next step; one that needs a metric and has none holds.

    ``OneCycleLR`` holds what it gave for the last of its steps: torch would raise.
    """
    if needs_metric(schedule):
        if metric is not None:
            schedule.step(metric)
    elif not hasattr(schedule, "total_steps") or schedule.last_epoch < schedule.total_steps - 1:
        schedule.step() if epoch is None else schedule.step(epoch)


def needs_metric(schedule: Any) -> bool:
    """Return whether a schedule follows a metric: ReduceLROnPlateau, or transformers' GreedyLR."""
    kinds = [kind.__name__ for kind in type(schedule).__mro__]
    return "ReduceLROnPlateau" in kinds or "GreedyLR" in kinds


def check_rates(lrs: Sequence[float]) -> None:
    """Refuse what is no learning rate.

    Raises:
        ValueError: one is negative or not finite.
    """
    for lr in lrs:
        if not (math.isfinite(lr) and lr >= 0.0):
            raise ValueError(f"the schedule gives {lr}, which is no learning rate")


def nearest_schedule(name: str, functions: Functions) -> str:
    """Return the schedule whose name is most like ``name``."""
    known = {one.lower(): one for one in offered(functions)}
    return repr(known[get_close_matches(name.lower(), known, n=1, cutoff=0.0)[0]])


def base_argument(name: str) -> str | None:
    """Return the argument in which a schedule is told its rate, if it is told at all."""
    return _BASES.get(name)


def _compose(name: str, arguments: Mapping[str, Any], shadow: Shadow, functions: Functions) -> Any:
    parts = str(arguments.get("schedules", "")).split("/")
    inside: list[dict[str, Any]] = [{} for _ in parts]
    own: dict[str, Any] = {}
    for key, value in arguments.items():
        number, dot, rest = key.partition(".")
        if dot and number.isdecimal() and int(number) < len(parts):
            inside[int(number)][rest] = value
        elif key == "milestones" and name == "SequentialLR":
            own[key] = value
        elif key != "schedules":
            raise ValueError(f"{name} has no argument {key!r}: schedules, milestones, 0.gamma, …")
    made = [
        make_schedule(part, given, shadow, functions)
        for part, given in zip(parts, inside, strict=True)
    ]
    if name == "SequentialLR":
        return lr_scheduler.SequentialLR(shadow, made, own.get("milestones", []))
    return lr_scheduler.ChainedScheduler(made, optimizer=shadow)


def _make_hf(name: str, arguments: Mapping[str, Any], shadow: Shadow) -> Any:
    # Imported where it is used: it is an extra, and slow to import.
    from transformers import optimization

    kinds: dict[str, Any] = {
        kind.value: make for kind, make in optimization.TYPE_TO_SCHEDULER_FUNCTION.items()
    }
    if name not in kinds:
        raise ValueError(f"the installed transformers has no schedule {name!r}")
    own = dict(inspect.signature(kinds[name]).parameters)
    if name == "greedy":
        own = dict(inspect.signature(optimization.GreedyLR).parameters)
    elif name == "reduce_lr_on_plateau":
        own = dict(inspect.signature(lr_scheduler.ReduceLROnPlateau).parameters)
    _check_arguments(name, arguments, [*own, *_HF_ARGUMENTS])
    steps = {key: arguments.get(key) for key in _HF_ARGUMENTS}
    rest = {key: value for key, value in arguments.items() if key not in steps}
    return optimization.get_scheduler(name, shadow, scheduler_specific_kwargs=rest, **steps)


def _check_arguments(name: str, arguments: Mapping[str, Any], known: Any) -> None:
    names = sorted(set(known) - _NOT_OFFERED)
    for key in arguments:
        if key not in names:
            raise ValueError(f"{name} has no argument {key!r}; it has: {', '.join(names)}")


def _function(name: Any, functions: Functions) -> Callable[[int], float]:
    if name not in functions:
        known = ", ".join(functions) or "none"
        raise ValueError(f"lr_lambda names a registered function: {known}")
    return functions[name]
