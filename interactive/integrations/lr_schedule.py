"""A learning rate that cannot lie: what steers it and what schedules it are one object."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from interactive.integrations.lr_catalogue import (
    Functions,
    Recipe,
    advance,
    check_rates,
    make_schedule,
    needs_metric,
    try_schedule,
)
from interactive.integrations.schedule_shadow import Shadow, bind, cycles_momentum, shadow_of
from interactive.integrations.state_tree import from_json, to_json

GIVEN = "given"
"""The schedule that the script made itself."""
_FORMAT = "lr_schedule/1"


class LrSchedule(LRScheduler):
    """A learning-rate schedule that can be scaled, replaced, and overruled by a set value.

    The schedule runs on a shadow of the optimizer. After each of its steps the rate of
    every attached group is ``factor`` times what the schedule gives; a detached group keeps
    the value that was set. It passes for a ``LRScheduler``, and its state is plain JSON.
    ``step`` takes the metric, for the schedules that follow one; others pass it over.

    Made by ``schedule_around`` and ``schedule_by_name``.

    Args:
        optimizer: whose rates these are.
        inner: the schedule, on the shadow.
        shadow: the shadow.
        recipe: what ``inner`` was made from.
        functions: what ``LambdaLR`` and ``MultiplicativeLR`` may name.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        inner: Any,
        shadow: Shadow,
        recipe: Recipe,
        functions: Functions,
    ) -> None:
        # Not LRScheduler's own: that makes a step, and remembers rates of its own.
        self.optimizer = optimizer
        self.functions = functions
        self._inner, self._shadow, self._recipe = inner, shadow, recipe
        self._given = (inner, shadow) if recipe.schedule == GIVEN else None
        self._factor = 1.0
        self._attached = [True] * len(optimizer.param_groups)
        self._ended: str | None = None
        self._step_count = 1
        self.last_epoch = 0
        self.base_lrs = list(recipe.lrs)
        self._write()

    @property
    def factor(self) -> float:
        """The product of all factors since the schedule began."""
        return self._factor

    @property
    def attached(self) -> tuple[bool, ...]:
        """Return for each group whether it follows the schedule."""
        return tuple(self._attached)

    @property
    def follows_metric(self) -> bool:
        """Return whether the schedule's steps need a metric."""
        return needs_metric(self._inner)

    @property
    def moves_momentum(self) -> bool:
        """Return whether the schedule moves the momentum (or beta1) of attached groups."""
        return any(self._attached) and cycles_momentum(self._inner)

    def describe(self) -> dict[str, Any]:
        """Return how the rate stands, as a JSON object."""
        return {
            "schedule": self._recipe.schedule,
            "arguments": dict(self._recipe.arguments),
            "factor": self._factor,
            "attached": list(self._attached),
            **({"ended": self._ended} if self._ended else {}),
        }

    def step(self, metrics: float | None = None, epoch: float | None = None) -> None:  # type: ignore[override]
        """Go on to the rate of the next update.

        Args:
            metrics: what a schedule such as ReduceLROnPlateau follows; without it that holds.
            epoch: the position, for a schedule that takes one, such as
                CosineAnnealingWarmRestarts.
        """
        self._step_count += 1
        self.last_epoch += 1
        if any(self._attached) and self._ended is None:
            self._advance(None if metrics is None else float(metrics), epoch)
            self._write()

    def get_last_lr(self) -> list[float]:  # type: ignore[override]
        """Return the rate of each group, read from the optimizer."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float]:  # type: ignore[override]
        """Return the rate of each group, read from the optimizer."""
        return self.get_last_lr()

    def set(self, lr: float, groups: Sequence[int] | None = None) -> None:
        """Set the rate, and detach the groups concerned; all of them if None."""
        for index in range(len(self._attached)) if groups is None else groups:
            self._attached[index] = False
            _set_lr(self.optimizer.param_groups[index], lr)

    def scale(self, factor: float) -> None:
        """Multiply what the schedule gives from here on.

        Raises:
            ValueError: no group follows the schedule.
        """
        if not any(self._attached):
            raise ValueError("the learning rate is detached from its schedule")
        self._factor *= factor
        self._write()

    def replace(self, schedule: str, arguments: Mapping[str, Any], lr: float | None = None) -> None:
        """Begin another schedule, from the present rates or from ``lr``; all groups follow it.

        Raises:
            ValueError: there is no such schedule, or not with these arguments.
            TypeError: as ValueError.
            ArithmeticError: as ValueError.
        """
        recipe = self.recipe(schedule, arguments, lr)
        shadow = self._fresh_shadow(recipe)
        inner = make_schedule(schedule, arguments, shadow, self.functions)
        check_rates(shadow.lrs())
        self._begin(inner, shadow, recipe)
        self._attached = [True] * len(self._attached)
        self._factor, self._ended = 1.0, None
        self._write()

    def attempt(
        self, schedule: str, arguments: Mapping[str, Any], lr: float | None = None
    ) -> list[float]:
        """Return the rates that ``replace`` would begin with; nothing is changed.

        Raises:
            ValueError: as ``replace``, and if the schedule fails within its first steps.
            TypeError: as ValueError.
            ArithmeticError: as ValueError.
        """
        recipe = self.recipe(schedule, arguments, lr)
        if not all(recipe.lrs):
            raise ValueError("the present rate is 0: name the lr that the schedule begins from")
        try_schedule(schedule, arguments, self._fresh_shadow(recipe), self.functions)
        shadow = self._fresh_shadow(recipe)
        make_schedule(schedule, arguments, shadow, self.functions)
        return shadow.lrs()

    def recipe(self, schedule: str, arguments: Mapping[str, Any], lr: float | None) -> Recipe:
        """Return the recipe of a schedule that begins here."""
        present = self.get_last_lr()
        return Recipe(
            schedule, dict(arguments), tuple(present if lr is None else [lr] * len(present))
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the schedule's position, the factor and the set rates as plain JSON.

        Raises:
            TypeError: the script's own schedule keeps what is no JSON.
        """
        state: dict[str, Any] = {
            "format": _FORMAT,
            "recipe": self._recipe.to_json(),
            "factor": self._factor,
            "attached": list(self._attached),
            "ended": self._ended,
            "lrs": self.get_last_lr(),
            "counts": [self._step_count, self.last_epoch],
            "shadow": to_json(self._shadow.numbers()),
            "inner": to_json(self._inner.state_dict(), path="schedule"),
        }
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore ``state_dict``'s object, and with it the rates in the optimizer.

        Raises:
            ValueError: it is of something else, or of a schedule that the script made
                and now makes no longer.
        """
        if state_dict.get("format") != _FORMAT:
            raise ValueError(f"the state is not of {_FORMAT}: it was saved by another schedule")
        recipe = Recipe.from_json(state_dict["recipe"])
        if len(state_dict["lrs"]) != len(self._attached):
            raise ValueError("the state is of an optimizer with other parameter groups")
        if recipe.schedule != GIVEN:
            shadow = self._fresh_shadow(recipe)
            inner = make_schedule(recipe.schedule, recipe.arguments, shadow, self.functions)
        elif self._given is not None:
            inner, shadow = self._given
        else:
            raise ValueError(
                "the state is of a schedule that the script made itself; make it again"
            )
        inner.load_state_dict(from_json(state_dict["inner"]))
        shadow.restore(from_json(state_dict["shadow"]))
        self._begin(inner, shadow, recipe)
        self._factor, self._ended = state_dict["factor"], state_dict["ended"]
        self._attached = list(state_dict["attached"])
        self._step_count, self.last_epoch = state_dict["counts"]
        for group, lr in zip(self.optimizer.param_groups, state_dict["lrs"], strict=True):
            _set_lr(group, lr)
        self._write()

    def _begin(self, inner: Any, shadow: Shadow, recipe: Recipe) -> None:
        self._inner, self._shadow, self._recipe = inner, shadow, recipe
        self.base_lrs = list(recipe.lrs)

    def _fresh_shadow(self, recipe: Recipe) -> Shadow:
        return shadow_of(self.optimizer, recipe.lrs, recipe.lrs[0])

    def _advance(self, metric: float | None, epoch: float | None) -> None:
        """Let the schedule make its step; one that a command named may not end the training."""
        before = self._shadow.numbers()
        try:
            advance(self._inner, metric, epoch)
            check_rates(self._shadow.lrs())
        except Exception as error:
            if self._recipe.schedule == GIVEN:
                raise
            self._shadow.restore(before)
            self._ended = f"{type(error).__name__}: {error}"
            warnings.warn(f"the learning rate holds, for its schedule ended: {error}", stacklevel=3)

    def _write(self) -> None:
        """Bring the rates of attached groups, and their momentum if it cycles, to the optimizer."""
        cycles = cycles_momentum(self._inner)
        groups = zip(self.optimizer.param_groups, self._shadow.param_groups, strict=True)
        for attached, (real, shadow) in zip(self._attached, groups, strict=True):
            if not attached:
                continue
            lr = float(shadow["lr"])
            _set_lr(real, lr if self._factor == 1.0 else self._factor * lr)
            if cycles and "betas" in real:
                real["betas"] = (shadow["betas"][0], *real["betas"][1:])
            elif cycles and "momentum" in real:
                real["momentum"] = shadow["momentum"]


def schedule_around(schedule: Any, functions: Functions | None = None) -> LrSchedule:
    """Return a steerable schedule that goes on where one of torch's or transformers' stands.

    From here on only the returned one may be stepped.

    Args:
        schedule: the script's own, on the optimizer that is trained with.
        functions: what ``LambdaLR`` and ``MultiplicativeLR`` may name later.
    """
    optimizer = schedule.optimizer
    shadow = shadow_of(optimizer)
    bind(schedule, shadow)
    recipe = Recipe(GIVEN, {"made": type(schedule).__name__}, tuple(shadow.lrs()))
    return LrSchedule(optimizer, schedule, shadow, recipe, functions or {})


def schedule_by_name(
    optimizer: Optimizer,
    schedule: str = "ConstantLR",
    arguments: Mapping[str, Any] | None = None,
    functions: Functions | None = None,
) -> LrSchedule:
    """Return a steerable schedule that begins at the optimizer's present rates.

    Args:
        optimizer: whose rates these are.
        schedule: a name such as ``CosineAnnealingLR`` or ``warmup_stable_decay``.
        arguments: the schedule's own.
        functions: what ``LambdaLR`` and ``MultiplicativeLR`` may name.

    Raises:
        ValueError: there is no such schedule, or not with these arguments.
        TypeError: as ValueError.
        ArithmeticError: as ValueError.
    """
    if arguments is None:
        arguments = {"factor": 1.0} if schedule == "ConstantLR" else {}
    lrs = tuple(float(group["lr"]) for group in optimizer.param_groups)
    recipe = Recipe(schedule, dict(arguments), lrs)
    shadow = shadow_of(optimizer, lrs, lrs[0])
    inner = make_schedule(schedule, arguments, shadow, functions or {})
    return LrSchedule(optimizer, inner, shadow, recipe, functions or {})


def _set_lr(group: dict[str, Any], lr: float) -> None:
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr
