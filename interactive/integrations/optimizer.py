"""Plans for a torch optimizer's numbers and for its learning-rate schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch.optim import Optimizer

from interactive.commands import ReplaceSchedule, ScaleSchedule, UpdateOptimizer
from interactive.integrations.lr_catalogue import (
    base_argument,
    nearest_schedule,
    offered,
)
from interactive.integrations.lr_schedule import LrSchedule
from interactive.integrations.names import refuse_name
from interactive.outcome import Reason, Rejected
from interactive.trainer import Plan

_BETAS = {"beta1": 0, "beta2": 1}


class Clips(Protocol):
    """Whatever says to which norm the gradients are clipped."""

    max_grad_norm: float


@dataclass(slots=True)
class Clipping:
    """The norm to which the loop clips its gradients; it reads it at each step."""

    max_grad_norm: float


class OptimizerPlans:
    """Says what a command would change in an optimizer.

    Args:
        optimizer: the one that is trained with.
        schedule: its learning-rate schedule.
        clipping: what the loop clips to, if it clips.
    """

    def __init__(
        self, optimizer: Optimizer, schedule: LrSchedule, clipping: Clips | None = None
    ) -> None:
        self._optimizer = optimizer
        self._schedule = schedule
        self._clipping = clipping

    def names(self) -> list[str]:
        """Return the numbers that can be set."""
        names = [name for name in _number_names() if self._holders(name, self._all())]
        return [*names, *(["max_grad_norm"] if self._clipping else [])]

    def groups(self) -> list[str]:
        """Return the names of the parameter groups; one without a name goes by its index."""
        return [
            str(group.get("name", index))
            for index, group in enumerate(self._optimizer.param_groups)
        ]

    def schedules(self) -> list[str]:
        """Return the schedules that can be begun."""
        return list(offered(self._schedule.functions))

    def settings(self) -> dict[str, Any]:
        """Return the present numbers: those of the first group, and of all where there are more."""
        first = {name: self._value(name, 0) for name in self.names() if name != "max_grad_norm"}
        if self._clipping:
            first["max_grad_norm"] = self._clipping.max_grad_norm
        if len(self._all()) == 1:
            return first
        return {**first, "groups": {name: self._of(i) for i, name in enumerate(self.groups())}}

    def plan_numbers(self, command: UpdateOptimizer) -> Plan | Rejected:
        """Plan to set numbers; a new lr detaches the groups concerned from their schedule."""
        chosen = self._choose(command.group)
        if isinstance(chosen, Rejected):
            return chosen
        changes = command.changes()
        for name in changes:
            if refused := self._refuse(name, command, chosen):
                return refused
        old = {name: self._joint(name, chosen) for name in changes}
        effective: dict[str, Any] = dict(changes)
        if "lr" in changes and any(self._schedule.attached[index] for index in chosen):
            effective["schedule"] = "detached"
        where = {} if command.group is None else {"group": command.group}

        def apply() -> None:
            for name, value in changes.items():
                self._set(name, value, chosen)

        return Plan({**old, **where}, {**changes, **where}, {**effective, **where}, apply)

    def plan_scale(self, command: ScaleSchedule) -> Plan | Rejected:
        """Plan to multiply what the schedule gives."""
        schedule = self._schedule
        if not any(schedule.attached):
            hint = "lr was set by hand, which detached its schedule; set it, or replace_schedule"
            return Rejected(Reason.UNSUPPORTED, hint)
        factor = schedule.factor * command.factor
        lrs = [
            lr * command.factor if attached else lr
            for lr, attached in zip(schedule.get_last_lr(), schedule.attached, strict=True)
        ]
        if not 0.0 < factor < float("inf") or max(lrs) == float("inf"):
            return Rejected(Reason.OUT_OF_BOUNDS, f"the factors would add up to {factor}")
        return Plan(
            old={"factor": schedule.factor, "lr": schedule.get_last_lr()},
            requested={"factor": command.factor},
            effective={"factor": factor},
            apply=lambda: schedule.scale(command.factor),
        )

    def plan_replace(self, command: ReplaceSchedule) -> Plan | Rejected:
        """Plan to begin another schedule with the next step."""
        schedule, name = self._schedule, command.schedule
        if name not in self.schedules():
            nearest = nearest_schedule(name, schedule.functions)
            hint = f"no schedule {name!r}; did you mean {nearest}?"
            return Rejected(Reason.UNKNOWN_SCHEDULE, hint)
        told = base_argument(name)
        if command.lr is not None and told in command.arguments:
            return Rejected(Reason.OUT_OF_BOUNDS, f"name lr or {told}: they are the same here")
        arguments = dict(command.arguments)
        try:
            lrs = schedule.attempt(name, arguments, command.lr)
        except Exception as error:
            # Whatever a schedule raises over its arguments, the command is to blame.
            return Rejected(Reason.OUT_OF_BOUNDS, f"{name} cannot be made so: {error}"[:500])
        return Plan(
            old={**schedule.describe(), "lr": schedule.get_last_lr()},
            requested=command.model_dump(exclude={"command"}, exclude_none=True),
            effective={"schedule": name, "arguments": arguments, "lr": lrs},
            apply=lambda: schedule.replace(name, arguments, command.lr),
        )

    def _all(self) -> list[int]:
        return list(range(len(self._optimizer.param_groups)))

    def _choose(self, group: int | str | None) -> list[int] | Rejected:
        if group is None:
            return self._all()
        names = self.groups()
        if isinstance(group, int) and group < len(names):
            return [group]
        if group in names:
            return [names.index(str(group))]
        return refuse_name(Reason.UNKNOWN_GROUP, "parameter group", group, names)

    def _refuse(self, name: str, command: UpdateOptimizer, chosen: list[int]) -> Rejected | None:
        kind = type(self._optimizer).__name__
        if name == "max_grad_norm":
            if self._clipping is None:
                return Rejected(Reason.UNSUPPORTED, "the loop does not clip its gradients")
            if command.group is not None:
                return Rejected(Reason.UNSUPPORTED, "max_grad_norm is of all groups together")
        elif self._holders(name, chosen) != chosen:
            known = ", ".join(self.names())
            return Rejected(Reason.UNSUPPORTED, f"{kind} has no {name}; it has: {known}")
        cycled = self._schedule.moves_momentum and command.lr is None
        if name in ("momentum", "beta1") and cycled:
            hint = f"the schedule moves {name}; set lr too, which detaches it, or replace it"
            return Rejected(Reason.UNSUPPORTED, hint)
        return None

    def _holders(self, name: str, chosen: list[int]) -> list[int]:
        """Return which of the groups have a number."""
        groups = self._optimizer.param_groups
        key = "betas" if name in _BETAS else name
        return [i for i in chosen if _is_number(groups[i].get(key), pair=name in _BETAS)]

    def _of(self, index: int) -> dict[str, float]:
        return {
            name: self._value(name, index)
            for name in _number_names()
            if self._holders(name, [index])
        }

    def _value(self, name: str, index: int) -> float:
        group = self._optimizer.param_groups[index]
        return float(group["betas"][_BETAS[name]] if name in _BETAS else group[name])

    def _joint(self, name: str, chosen: list[int]) -> Any:
        """Return a number, or a list where the groups differ."""
        if name == "max_grad_norm":
            return self._clipping.max_grad_norm if self._clipping else None
        values = [self._value(name, index) for index in chosen]
        return values[0] if len(set(values)) == 1 else values

    def _set(self, name: str, value: float, chosen: list[int]) -> None:
        if name == "lr":
            self._schedule.set(value, chosen)
        elif name == "max_grad_norm" and self._clipping:
            self._clipping.max_grad_norm = value
        else:
            for index in chosen:
                group = self._optimizer.param_groups[index]
                if name in _BETAS:
                    betas = list(group["betas"])
                    betas[_BETAS[name]] = value
                    group["betas"] = tuple(betas)
                else:
                    group[name] = value


def _number_names() -> tuple[str, ...]:
    return ("lr", "weight_decay", "beta1", "beta2", "eps", "momentum")


def _is_number(value: Any, pair: bool) -> bool:
    if pair:
        return isinstance(value, tuple | list) and len(value) >= 2
    return value is not None and not isinstance(value, tuple | list | Mapping | bool)
