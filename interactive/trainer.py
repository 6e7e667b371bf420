"""The verbs that a trainer offers to the control plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from interactive.commands import TrainerCommand
from interactive.outcome import Rejected


@dataclass(frozen=True, slots=True)
class Plan:
    """A change that is known to be possible, and has not been made yet.

    The boundary writes ``old``, ``requested`` and ``effective`` (JSON objects) into the
    ledger, and only then calls ``apply``.
    """

    old: Mapping[str, Any]
    requested: Mapping[str, Any]
    effective: Mapping[str, Any]
    apply: Callable[[], None]


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What one optimizer step did.

    ``step`` counts from 1; ``lr`` is read from the optimizer after the update was made
    with it; ``commits`` are the commit numbers of the clips whose frames bore a loss;
    ``digest`` is the digest of the parameters after the update, where it was due;
    ``timings_s`` and ``extra`` are for reading only.
    """

    step: int
    loss: float
    grad_norm: float
    lr: float
    digest: str | None = None
    commits: tuple[int, ...] = ()
    extra: Mapping[str, float] = field(default_factory=dict)
    timings_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DataRow:
    """One row of the index as the link received it: its commit number and its body.

    A row is a committed clip, or the withdrawal of one: then ``withdraws`` is the commit
    number of the clip, where its own row came before.
    """

    commit: int
    body: Mapping[str, Any]
    withdraws: int | None = None


class DataLost(Exception):
    """Adopted clips cannot be read; the step was not made, and the trainer is as it was.

    ``train_step`` raises it. A live run records that these clips left the data, and goes on
    without them; a replay begins where they are not needed any more.
    """

    def __init__(self, commits: Sequence[int], why: str) -> None:
        """Store the commit numbers of the clips, and why they cannot be read."""
        self.commits = tuple(commits)
        self.why = why
        super().__init__(f"clip {', '.join(map(str, commits))} cannot be read: {why}")
        self.hint = "its bytes were purged or damaged after a step had learned from it."


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """Numbers of one evaluation, and the picture it wrote (relative to the run folder)."""

    measures: Mapping[str, float]
    picture: str = ""


class ControllableTrainer(Protocol):
    """A training run that can be steered, saved and replayed.

    Its state after ``step`` updates is a function of (code version, config, seed) and of
    the calls made to it in order, with nothing else: no clock, no global generator.
    Evaluating, saving and digesting do not shift training.

    It need not make its steps itself: a loop of its own may do so between
    ``Steered.cross`` and ``Steered.record``. One that can is a ``SteppingTrainer``.
    """

    @property
    def step(self) -> int:
        """Return the number of optimizer updates done on the current branch's line."""
        ...

    @property
    def evaluations(self) -> tuple[str, ...]:
        """Return the names that ``evaluate`` accepts."""
        ...

    def settings(self) -> Mapping[str, Any]:
        """Return what can be steered, with its present values, as a JSON object."""
        ...

    def capabilities(self) -> Mapping[str, Any]:
        """Return what commands may name, as a JSON object.

        Keys: ``optimizer`` (numbers), ``groups``, ``schedules``, ``sources``, ``datasets``,
        ``settings`` ({name: {kind: number | flag | choice, low, high, choices}}),
        ``operations`` ({operation: [module, …]}), ``evaluations``.
        """
        ...

    def plan(self, command: TrainerCommand) -> Plan | Rejected:
        """Say what a command would change, or why it cannot; nothing has changed yet.

        What it draws is keyed by seed and step, so that every rank draws the same.
        """
        ...

    def adopt(self, mark: int, rows: Sequence[DataRow]) -> None:
        """Take the rows up to ``mark`` (all those after the mark before) into the data.

        A clip that a later one of these rows withdraws never enters.
        """
        ...

    def withdraw(self, commits: Sequence[int]) -> None:
        """Take clips out of the data; those that are not in it are passed over."""
        ...

    def ready(self) -> bool:
        """Return whether the adopted data suffice to make a step."""
        ...

    def evaluate(self, evaluation: str, branch: str) -> EvaluationResult:
        """Run a named evaluation on the present weights."""
        ...

    def fingerprint(self) -> Mapping[str, str]:
        """Return what bit-equality depends on: CPU, libraries, threads, flags."""
        ...

    def digest(self) -> str:
        """Return the digest of the parameters."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything that exact resume needs into an existing empty folder."""
        ...

    def load(self, folder: Path) -> None:
        """Restore what ``save`` wrote.

        Raises:
            ValueError: the folder does not fit this trainer; the message names the tensor.
        """
        ...


class SteppingTrainer(ControllableTrainer, Protocol):
    """A trainer that makes its steps when told to, as the worker and a replay tell it."""

    def train_step(self) -> StepRecord:
        """Make one optimizer update.

        Raises:
            DataLost: clips cannot be read; nothing has changed.
        """
        ...
