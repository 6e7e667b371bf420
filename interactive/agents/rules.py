"""The rule that halves the learning rate on a plateau."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from interactive.agents.agent import History, Proposal
from interactive.agents.facts import last_lr_change
from interactive.commands import UpdateOptimizer


@dataclass(frozen=True, slots=True)
class PlateauConfig:
    """When a loss counts as standing still, and what follows.

    Args:
        window: steps over which the loss is averaged.
        patience: windows in a row without improvement.
        factor: what the learning rate is multiplied by.
        min_lr: the learning rate is left alone from here down.
        threshold: the least relative improvement that counts.
    """

    window: int = 100
    patience: int = 3
    factor: float = 0.5
    min_lr: float = 1e-6
    threshold: float = 0.01

    def __post_init__(self) -> None:
        """Refuse numbers that make no rule."""
        if self.window < 1 or self.patience < 1:
            raise ValueError("window and patience must be at least 1")
        if not 0 < self.factor < 1:
            raise ValueError("factor must lie between 0 and 1")

    @property
    def steps_needed(self) -> int:
        """Return the steps that a decision looks back on: the patience and one before it."""
        return self.window * (self.patience + 1)


class HalveOnPlateau:
    """Lowers the learning rate when the loss has stopped improving.

    The rule counts from the last change of the learning rate, whoever made it, and from
    the branch's start: it compares the mean of each of the last ``patience`` windows with
    the best mean before them.
    """

    def __init__(self, config: PlateauConfig) -> None:
        self._config = config

    def observe(self, history: History) -> Proposal | None:
        """Propose a lower learning rate on a plateau."""
        config = self._config
        if history.lr is None or history.lr <= config.min_lr:
            return None
        since = last_lr_change(history)
        losses = [
            loss for step, loss in zip(history.steps, history.losses, strict=True) if step >= since
        ]
        if len(losses) < config.steps_needed:
            return None
        means = _window_means(losses, config.window)
        if not all(map(math.isfinite, means)):
            return None
        best, recent = min(means[: -config.patience]), means[-config.patience :]
        if min(recent) < best - abs(best) * config.threshold:
            return None
        lr = max(history.lr * config.factor, config.min_lr)
        shown = ", ".join(f"{mean:.4g}" for mean in recent)
        reason = (
            f"plateau: the last {config.patience} means of {config.window} losses ({shown}) are"
            f" not {config.threshold:.1%} below the best one before ({best:.4g}),"
            f" up to step {history.steps[-1]}: lr {history.lr:.3g} -> {lr:.3g}"
        )
        return Proposal(UpdateOptimizer(lr=lr), reason)


def _window_means(losses: Sequence[float], window: int) -> list[float]:
    """Return the means of the whole windows, the last one ending at the last loss."""
    first = len(losses) % window
    return [fmean(losses[i : i + window]) for i in range(first, len(losses), window)]
