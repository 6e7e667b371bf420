"""An optimizer that optimizes nothing: a learning-rate schedule runs on it undisturbed.

Many schedules multiply the rate that they find, so a rate that was scaled or set by hand
would end up in all that follows. On the shadow they find what they left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.optim import Optimizer

FIRST_KEYS = ("lr", "betas", "momentum")
"""What a fresh schedule finds in a parameter group."""
KEYS = (
    *FIRST_KEYS,
    "initial_lr",
    "max_lr",
    "min_lr",
    "max_momentum",
    "base_momentum",
)
"""What schedules read and write there."""


class Shadow(Optimizer):
    """One parameter of no use per group, and the numbers that schedules look at."""

    _opt_called = True
    """Schedules warn unless the optimizer stepped before them; the real one is looked after."""

    def __init__(self, groups: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any]) -> None:
        empty = [{"params": [torch.zeros(())], **group} for group in groups]
        super().__init__(empty, dict(defaults))

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Do nothing."""

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]

    def lrs(self) -> list[float]:
        """Return the rate of each group."""
        return [float(group["lr"]) for group in self.param_groups]

    def numbers(self) -> list[dict[str, Any]]:
        """Return what schedules keep in the groups."""
        return [
            {key: _plain(group[key]) for key in KEYS if key in group} for group in self.param_groups
        ]

    def restore(self, numbers: Sequence[Mapping[str, Any]]) -> None:
        """Restore what ``numbers`` gave."""
        for group, kept in zip(self.param_groups, numbers, strict=True):
            for key in KEYS:
                group.pop(key, None)
            group.update(kept)


def shadow_of(
    optimizer: Optimizer, lrs: Sequence[float] | None = None, first_lr: float | None = None
) -> Shadow:
    """Return a shadow of an optimizer.

    Args:
        optimizer: the real one.
        lrs: the rates from which a fresh schedule begins; None takes over all that an
            earlier schedule left in the groups.
        first_lr: what counts as the rate that the optimizer was made with.
    """
    keys = KEYS if lrs is None else FIRST_KEYS
    groups = [
        {key: _plain(group[key]) for key in keys if key in group}
        for group in optimizer.param_groups
    ]
    for group, lr in zip(groups, lrs or (), strict=lrs is not None):
        group["lr"] = lr
    defaults = {key: optimizer.defaults[key] for key in FIRST_KEYS if key in optimizer.defaults}
    defaults["lr"] = float(defaults.get("lr") or 0.0) if first_lr is None else first_lr
    return Shadow(groups, defaults)


def bind(schedule: Any, optimizer: Optimizer) -> None:
    """Let a schedule, and those inside it, work on another optimizer."""
    schedule.optimizer = optimizer
    for inner in getattr(schedule, "_schedulers", ()):
        bind(inner, optimizer)


def cycles_momentum(schedule: Any) -> bool:
    """Return whether a schedule, or one inside it, moves the momentum too."""
    inside = getattr(schedule, "_schedulers", ())
    return bool(getattr(schedule, "cycle_momentum", False)) or any(map(cycles_momentum, inside))


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, torch.Tensor) else value
