"""The rule that goes back to the last good checkpoint when a loss has run away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from interactive.agents.agent import History, Proposal
from interactive.agents.facts import applied, last_lr_change
from interactive.commands import LoadCheckpoint, UpdateOptimizer
from interactive.outcome import Reason
from interactive.record.branch import CheckpointFact, RunState, failed_seqs
from interactive.record.ledger import Entry, EntryKind

SIGNATURE = "rollback: "
"""How the reasons of this rule begin: by it the rule knows its own entries again."""
NORMAL = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""


@dataclass(frozen=True, slots=True)
class RollbackConfig:
    """When a loss counts as run away, and what follows.

    Args:
        window: how many losses before the newest ``patience`` the median is taken of; also of
            as many before those, and the lower line counts: more than half of the newest may
            be bad by the time that the rule looks.
        patience: so many losses in a row above the line act; NaN or an infinity acts at once.
        deviations: the line lies so many robust standard deviations above the median,
        ratio: and at least at so many times the median's size above it.
        least: so many losses must stand before a line is drawn.
        margin: a checkpoint is good if so many steps lie between it and the first bad loss.
        factor: what the learning rate is multiplied by after going back, once more for each
            time that the rule has gone back to the same checkpoint before.
        min_lr: the lowest learning rate.
    """

    window: int = 100
    patience: int = 5
    deviations: float = 8.0
    ratio: float = 0.5
    least: int = 20
    margin: int = 5
    factor: float = 0.5
    min_lr: float = 1e-6

    def __post_init__(self) -> None:
        """Refuse numbers that make no rule."""
        if not 1 <= self.least <= self.window or self.patience < 1 or self.margin < 0:
            raise ValueError("least lies in [1, window], patience at least at 1, margin at 0")
        if not 0 < self.factor < 1:
            raise ValueError("factor must lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class _Trouble:
    step: int
    """The first bad loss."""
    evidence: str


class Rollback:
    """Goes back to the last good checkpoint on a loss spike or NaN, then lowers the lr.

    Two commands, one after the other: a branch from the checkpoint, and on it a lower
    learning rate. Which one is due follows from the ledger, so a restart goes on in between.
    """

    def __init__(self, config: RollbackConfig) -> None:
        self._config = config

    def observe(self, history: History) -> Proposal | None:
        """Propose to go back, or, on the branch where that has happened, a lower lr."""
        unfinished = self._unfinished(history)
        if unfinished is not None:
            return self._lower(history, unfinished)
        trouble = self._trouble(history)
        if trouble is None:
            return None
        checkpoint = _last_good(history, trouble.step - self._config.margin)
        if checkpoint is None:
            return None
        reason = f"{SIGNATURE}{trouble.evidence}: back to {checkpoint.id} (step {checkpoint.step})"
        return Proposal(LoadCheckpoint(checkpoint=checkpoint.id), reason)

    def _unfinished(self, history: History) -> str | None:
        """Return the checkpoint that the rule went back to, if the lr was not changed since."""
        own = _rollbacks(history.entries)
        if not own or own[-1].body["effective"]["branch"] != history.branch:
            return None
        return None if last_lr_change(history) else str(own[-1].body["effective"]["checkpoint"])

    def _lower(self, history: History, checkpoint: str) -> Proposal | None:
        config = self._config
        if history.lr is None:
            return None
        own = _rollbacks(history.entries)
        times = sum(one.body["effective"]["checkpoint"] == checkpoint for one in own)
        lr = max(history.lr * config.factor**times, config.min_lr)
        if lr >= history.lr:
            return None
        reason = f"{SIGNATURE}after going back to {checkpoint} ({times}.): lr"
        return Proposal(UpdateOptimizer(lr=lr), f"{reason} {history.lr:.3g} -> {lr:.3g}")

    def _trouble(self, history: History) -> _Trouble | None:
        config, losses, steps = self._config, history.losses, history.steps
        if not losses:
            return None
        line, shown = self._line(losses)
        bad = [not math.isfinite(loss) or loss > line for loss in losses]
        first = len(bad)
        while first and bad[first - 1]:
            first -= 1
        if first == len(bad):
            return None
        if not math.isfinite(losses[-1]):
            return _Trouble(steps[first], f"loss {losses[-1]} at step {steps[-1]}")
        if len(bad) - first < config.patience:
            return None
        evidence = f"the last {len(bad) - first} losses lie above {shown}, {losses[-1]:.4g} now"
        return _Trouble(steps[first], f"{evidence}, from step {steps[first]} on")

    def _line(self, losses: Sequence[float]) -> tuple[float, str]:
        """Return the loss above which one is bad, and how it came about."""
        config = self._config
        before = losses[: -config.patience]
        found = [(math.inf, "no line")]
        for end in (len(before), len(before) - config.window):
            window = before[max(0, end - config.window) : max(0, end)]
            finite = [loss for loss in window if math.isfinite(loss)]
            if len(finite) < config.least:
                continue
            middle = median(finite)
            spread = NORMAL * median(abs(loss - middle) for loss in finite)
            line = middle + max(config.deviations * spread, config.ratio * abs(middle))
            shown = f"{line:.4g} (median {middle:.4g} of {len(finite)}, deviation {spread:.2g})"
            found.append((line, shown))
        return min(found)


def _rollbacks(entries: Sequence[Entry]) -> list[Entry]:
    """Return the branches that this rule has opened."""
    return [
        entry
        for entry in applied(entries)
        if entry.body["command"]["command"] == "load_checkpoint"
        and str(entry.body.get("reason", "")).startswith(SIGNATURE)
    ]


def _last_good(history: History, before: int) -> CheckpointFact | None:
    """Return the newest checkpoint on the current line, made before a step and still there."""
    state = RunState.of(history.entries, failed_seqs(history.entries))
    gone = {
        entry.body["command"].get("checkpoint")
        for entry in history.entries
        if entry.kind is EntryKind.INTERVENTION
        and entry.body.get("code") == Reason.UNKNOWN_CHECKPOINT.value
    }
    name: str | None = history.branch
    while name is not None and name in state.branches:
        found = [
            one
            for one in state.checkpoints.values()
            if one.branch == name and one.step < before and one.id not in gone
        ]
        if found:
            return max(found, key=lambda one: (one.step, one.seq))
        base = state.checkpoints.get(state.branches[name].checkpoint or "")
        # On the parent's line only what was made up to the fork is on this line too.
        name, before = (None, 0) if base is None else (base.branch, min(before, base.step + 1))
    return None
