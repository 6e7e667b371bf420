"""The trainer as the control plane sees it: the only file that imports ``interactive``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from data_collection.trace import ClipRow
from interactive.commands import TrainerCommand, UpdateMixture, UpdateOptimizer
from interactive.outcome import Reason, Rejected
from interactive.trainer import DataLost, DataRow, EvaluationResult, Plan, StepRecord
from neuralos.build import build_trainer, make_deterministic
from neuralos.data.mixture import SOURCES, nearest_source
from neuralos.data.reading import ClipsUnreadable, clips_of
from neuralos.fingerprint import fingerprint
from neuralos.rollout import Recording, write_strip
from neuralos.run_config import NeuralosConfig, read_config
from neuralos.training.config import SETTINGS
from neuralos.training.evaluate import evaluate_rollout, held_out_recording
from neuralos.training.trainer import Trainer

TRACES_FOLDER = "traces"
ROLLOUTS_FOLDER = "rollouts"
ROLLOUT = "rollout"


class SteeredTrainer:
    """A ``ControllableTrainer``: plans changes, turns rows and results into the seam's types."""

    def __init__(self, trainer: Trainer, config: NeuralosConfig, run_dir: Path) -> None:
        self._trainer = trainer
        self._config = config
        self._run_dir = run_dir
        self._held_out: Recording | None = None

    @property
    def step(self) -> int:
        """Return the number of updates done."""
        return self._trainer.step

    @property
    def evaluations(self) -> tuple[str, ...]:
        """Return the names that ``evaluate`` accepts."""
        return (ROLLOUT,)

    def settings(self) -> Mapping[str, Any]:
        """Return what can be steered, with its present values."""
        return {
            "optimizer": self._trainer.optimizer.config.settings(),
            "mixture": self._trainer.mixture.to_json(),
        }

    def train_step(self) -> StepRecord:
        """Make one update.

        Raises:
            DataLost: clips cannot be read; nothing has changed.
        """
        try:
            result = self._trainer.train_step()
        except ClipsUnreadable as error:
            raise DataLost(tuple(error.why), str(error)) from error
        return StepRecord(
            step=self._trainer.step,
            loss=result.loss,
            grad_norm=result.grad_norm,
            lr=result.lr,
            digest=self._trainer.digest(),
            commits=result.commits,
            extra=result.parts,
            timings_s=result.timings_s,
        )

    def capabilities(self) -> Mapping[str, Any]:
        """Return what commands may name."""
        return {
            "optimizer": list(SETTINGS),
            "sources": list(SOURCES),
            "evaluations": list(self.evaluations),
        }

    def plan(self, command: TrainerCommand) -> Plan | Rejected:
        """Say what a command would change, or why it cannot."""
        match command:
            case UpdateOptimizer():
                return self._plan_optimizer(command)
            case UpdateMixture():
                return self._plan_mixture(command)
            case _:
                return Rejected(Reason.UNSUPPORTED, f"no {command.command} here")

    def adopt(self, mark: int, rows: Sequence[DataRow]) -> None:
        """Take the rows up to ``mark`` into the data."""
        self._trainer.adopt(mark, [ClipRow.from_json(dict(row.body)) for row in rows])

    def withdraw(self, commits: Sequence[int]) -> None:
        """Let clips go."""
        self._trainer.withdraw(commits)

    def ready(self) -> bool:
        """Return whether the adopted data suffice to make a step."""
        return self._trainer.ready()

    def evaluate(self, evaluation: str, branch: str) -> EvaluationResult:
        """Roll the averaged weights out and write the strip.

        Raises:
            ValueError: there is no evaluation of that name.
        """
        if evaluation != ROLLOUT:
            raise ValueError(f"no evaluation {evaluation!r}; there is {ROLLOUT!r}")
        if self._held_out is None:
            self._held_out = held_out_recording(self._config.evaluation)
        result = evaluate_rollout(self._trainer.averaged(), self._held_out, self._config.evaluation)
        picture = f"{ROLLOUTS_FOLDER}/{_rollout_name(branch, self.step)}"
        columns = np.linspace(0, len(result.real) - 1, self._config.evaluation.columns)
        write_strip(
            self._run_dir / picture, result.real, result.generated, columns.astype(int).tolist()
        )
        return EvaluationResult(result.measures, picture)

    def fingerprint(self) -> Mapping[str, str]:
        """Return what bit-equality depends on."""
        return fingerprint()

    def digest(self) -> str:
        """Return the digest of the parameters."""
        return self._trainer.digest()

    def save(self, folder: Path) -> None:
        """Write everything that exact resume needs into an existing empty folder."""
        self._trainer.save(folder)

    def load(self, folder: Path) -> None:
        """Restore what ``save`` wrote.

        Raises:
            ValueError: the folder does not fit this trainer; the message names the tensor.
        """
        self._trainer.load(folder)

    def _plan_optimizer(self, command: UpdateOptimizer) -> Plan:
        changes = command.changes()
        present = self._trainer.optimizer.config.settings()
        return Plan(
            old={name: present[name] for name in SETTINGS if name in changes},
            requested=changes,
            effective=changes,
            apply=lambda: self._trainer.optimizer.set(changes),
        )

    def _plan_mixture(self, command: UpdateMixture) -> Plan | Rejected:
        present, changes = self._trainer.mixture, command.changes()
        for source in {**(command.weights or {}), **(command.half_life_clips or {})}:
            if source not in SOURCES:
                hint = f"no source {source!r}; did you mean {nearest_source(source)!r}?"
                return Rejected(Reason.UNKNOWN_SOURCE, hint)
        weights = {**present.weights, **(command.weights or {})}
        if not any(weights.values()):
            return Rejected(Reason.OUT_OF_BOUNDS, "at least one source needs a weight above 0")
        most = max(1, self._config.lanes.lanes - 1)
        if command.fresh_rows is not None and command.fresh_rows > most:
            return Rejected(Reason.OUT_OF_BOUNDS, f"fresh_rows is at most {most}: lanes less one")
        wanted = replace(
            present,
            weights=weights,
            half_life_clips={**present.half_life_clips, **(command.half_life_clips or {})},
            trace_cap=present.trace_cap if command.trace_cap is None else command.trace_cap,
            fresh_rows=present.fresh_rows if command.fresh_rows is None else command.fresh_rows,
            live_intake=present.live_intake if command.live_intake is None else command.live_intake,
        )
        new = wanted.to_json()
        return Plan(
            old={name: present.to_json()[name] for name in changes},
            requested=changes,
            effective={
                **{name: new[name] for name in changes},
                "first_step": self.step + 1,
                "last_step": self.step + 1 + self._trainer.passages_left(),
            },
            apply=lambda: setattr(self._trainer, "mixture", wanted),
        )


def create_trainer(config_path: Path, run_dir: Path) -> SteeredTrainer:
    """Build the trainer of a run, whose clips lie in its ``traces`` folder."""
    make_deterministic()
    config = read_config(config_path)
    traces = run_dir / TRACES_FOLDER
    trainer = build_trainer(config, clips_of(traces), time.perf_counter)
    return SteeredTrainer(trainer, config, run_dir)


def _rollout_name(branch: str, step: int) -> str:
    prefix = "" if branch == "main" else f"{branch}-"
    return f"{prefix}step-{step:06d}.png"
