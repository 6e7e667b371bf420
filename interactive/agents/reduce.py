"""The rule of ``ReduceLROnPlateau``, as an agent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean

from interactive.agents.agent import History, Proposal
from interactive.agents.facts import evaluations, last_lr_change
from interactive.commands import UpdateOptimizer

MODES = ("min", "max")
THRESHOLD_MODES = ("rel", "abs")


@dataclass(frozen=True, slots=True)
class ReduceConfig:
    """When a measure counts as standing still; the words and meanings are torch's.

    Args:
        measure: an evaluation's measure; None for the mean loss of each ``window`` steps.
        window: steps of a mean, counted from step 1 of the run.
        mode: whether the measure is to fall (``min``) or to rise (``max``).
        factor: what the learning rate is multiplied by.
        patience: values without improvement that are borne; the next one acts.
        threshold: the least improvement that counts.
        threshold_mode: whether that is a part of the best value (``rel``) or a number (``abs``).
        cooldown: values after a change during which none counts as bad.
        min_lr: the lowest learning rate.
        eps: a change that is not larger than this is not made.
    """

    measure: str | None = None
    window: int = 50
    mode: str = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float = 0.0
    eps: float = 1e-8

    def __post_init__(self) -> None:
        """Refuse what makes no rule."""
        if self.mode not in MODES or self.threshold_mode not in THRESHOLD_MODES:
            raise ValueError(f"mode is one of {MODES}, threshold_mode one of {THRESHOLD_MODES}")
        if not 0 < self.factor < 1:
            raise ValueError("factor must lie between 0 and 1")
        if self.window < 1 or self.patience < 0 or self.cooldown < 0:
            raise ValueError("window is at least 1, patience and cooldown at least 0")


@dataclass(frozen=True, slots=True)
class _Value:
    step: int
    """The last step that it tells of."""
    value: float


class ReduceOnPlateau:
    """Reduces the learning rate when a measure has stopped improving (torch's rule).

    Torch's scheduler counts inside the training process; this one counts anew from the
    history at each look, so it may be restarted at any time. A change of the learning rate
    by anybody begins the cooldown and the count of bad values; the best value stays. It looks
    back as far as its history does.
    """

    def __init__(self, config: ReduceConfig) -> None:
        self._config = config

    def observe(self, history: History) -> Proposal | None:
        """Propose a lower learning rate after more than ``patience`` values without progress."""
        config = self._config
        if history.lr is None:
            return None
        values, since = self._values(history), last_lr_change(history)
        best, bad = self._fold(values, since)
        if bad <= config.patience:
            return None
        lr = max(history.lr * config.factor, config.min_lr)
        if not history.lr - lr > config.eps:
            return None
        name = config.measure or f"mean loss of {config.window} steps"
        reason = (
            f"plateau: {bad} values of {name} up to step {values[-1].step} are no improvement on"
            f" the best ({best:.4g}; the newest is {values[-1].value:.4g}):"
            f" lr {history.lr:.3g} -> {lr:.3g}"
        )
        return Proposal(UpdateOptimizer(lr=lr), reason)

    def _fold(self, values: list[_Value], since: int) -> tuple[float, int]:
        """Return the best value, and how many bad ones in a row stand at the end."""
        config = self._config
        best = math.inf if config.mode == "min" else -math.inf
        bad, cooldown, changed = 0, 0, since == 0
        for one in values:
            if not changed and one.step >= since:
                bad, cooldown, changed = 0, config.cooldown, True
            if self._is_better(one.value, best):
                best, bad = one.value, 0
            else:
                bad += 1
            if cooldown > 0:
                cooldown -= 1
                bad = 0
        return best, bad if changed else 0

    def _is_better(self, value: float, best: float) -> bool:
        config = self._config
        if config.threshold_mode == "rel":
            part = -config.threshold if config.mode == "min" else config.threshold
            line = best * (1.0 + part)
        else:
            line = best - config.threshold if config.mode == "min" else best + config.threshold
        return value < line if config.mode == "min" else value > line

    def _values(self, history: History) -> list[_Value]:
        config = self._config
        if config.measure is not None:
            return [
                _Value(one.step - 1, one.measures[config.measure])
                for one in evaluations(history)
                if config.measure in one.measures
            ]
        means: dict[int, list[float]] = {}
        for step, loss in zip(history.steps, history.losses, strict=True):
            means.setdefault((step - 1) // config.window, []).append(loss)
        return [
            _Value((number + 1) * config.window, fmean(losses))
            for number, losses in means.items()
            if len(losses) == config.window
        ]
