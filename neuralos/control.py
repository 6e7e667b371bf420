"""The trainer as the control plane sees it: the only file that imports ``interactive``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from data_collection.trace import ClipRow
from interactive.commands import (
    ModuleOperation,
    ReplaceSchedule,
    ScaleSchedule,
    TrainerCommand,
    UpdateDataset,
    UpdateMixture,
    UpdateOptimizer,
    UpdateSetting,
)
from interactive.integrations.lr_schedule import schedule_around
from interactive.integrations.modules import ModuleOperations
from interactive.integrations.names import refuse_name
from interactive.integrations.optimizer import OptimizerPlans
from interactive.integrations.settings import Settings
from interactive.outcome import Reason, Rejected
from interactive.trainer import DataLost, DataRow, EvaluationResult, Plan, StepRecord
from neuralos.build import build_trainer, make_deterministic
from neuralos.data.mixture import LIVE_SOURCE, SOURCES, nearest_source
from neuralos.data.reading import ClipsUnreadable, clips_of
from neuralos.evaluation.passage import Passage
from neuralos.fingerprint import fingerprint
from neuralos.ranks import ranks_here
from neuralos.rollout import write_strip
from neuralos.run_config import NeuralosConfig, read_config
from neuralos.training.evaluate import evaluate_rollout, held_out_passage
from neuralos.training.trainer import Trainer

TRACES_FOLDER = "traces"
START_FOLDER = "start"
"""Holds a copy of what the run begins with, so that replays begin with the same."""
ROLLOUTS_FOLDER = "rollouts"
ROLLOUT = "rollout"
_HIGHEST_WEIGHT = 1e3
"""Of a part of the loss."""


class SteeredTrainer:
    """A ``ControllableTrainer``: plans changes, turns rows and results into the seam's types."""

    def __init__(self, trainer: Trainer, config: NeuralosConfig, run_dir: Path) -> None:
        self._trainer = trainer
        self._config = config
        self._run_dir = run_dir
        self._held_out: Passage | None = None
        optimizer = trainer.optimizer
        self._schedule = schedule_around(optimizer.schedule)
        optimizer.schedule = self._schedule
        optimizer.begin_rate = self._begin_rate
        self._numbers = OptimizerPlans(optimizer.adamw, self._schedule, optimizer)
        self._modules = ModuleOperations(
            trainer.simulator, optimizer.adamw, config.training.seed, optimizer.begin_average
        )
        self._knobs = _knobs(trainer, config)
        self._sources = {source: _source_knobs(trainer, source) for source in SOURCES}

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
            "optimizer": self._numbers.settings(),
            "schedule": self._schedule.describe(),
            "mixture": self._trainer.mixture.to_json(),
            "settings": self._knobs.state_dict(),
            "frozen": self._modules.frozen(),
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
            "optimizer": self._numbers.names(),
            "groups": self._numbers.groups(),
            "schedules": self._numbers.schedules(),
            "sources": list(SOURCES),
            "datasets": list(SOURCES),
            "settings": self._knobs.describe(),
            "operations": self._modules.describe(),
            "evaluations": list(self.evaluations),
        }

    def plan(self, command: TrainerCommand) -> Plan | Rejected:
        """Say what a command would change, or why it cannot."""
        match command:
            case UpdateOptimizer():
                return self._numbers.plan_numbers(command)
            case ScaleSchedule():
                return self._numbers.plan_scale(command)
            case ReplaceSchedule():
                return self._numbers.plan_replace(command)
            case UpdateMixture():
                return self._plan_mixture(command)
            case UpdateDataset():
                return self._plan_dataset(command)
            case UpdateSetting():
                return self._knobs.plan(command)
            case ModuleOperation():
                return self._modules.plan(command, self.step)

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
            self._held_out = held_out_passage(
                self._config.evaluation, self._config.simulator.screen
            )
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

    def save_rank(self, folder: Path) -> None:
        """Write what only this rank has, beside the checkpoint of rank 0."""
        self._trainer.save_lanes(folder)

    def load_rank(self, folder: Path) -> None:
        """Take nothing more: ``load`` has read the lanes of all ranks."""

    def _plan_mixture(self, command: UpdateMixture) -> Plan | Rejected:
        present, changes = self._trainer.mixture, command.changes()
        if refused := self._refuse_mixture(command):
            return refused
        dropped = tuple(command.drop or ())
        wanted = replace(
            present,
            weights={**present.weights, **(command.weights or {}), **dict.fromkeys(dropped, 0.0)},
            half_life_clips={**present.half_life_clips, **(command.half_life_clips or {})},
            trace_cap=present.trace_cap if command.trace_cap is None else command.trace_cap,
            fresh_rows=present.fresh_rows if command.fresh_rows is None else command.fresh_rows,
            live_intake=present.live_intake if command.live_intake is None else command.live_intake,
        )
        if not any(wanted.weights.values()):
            return Rejected(Reason.OUT_OF_BOUNDS, "at least one source needs a weight above 0")
        new = wanted.to_json()
        names = [name for name in new if name in changes or (dropped and name == "weights")]

        def apply() -> None:
            self._trainer.mixture = wanted
            self._trainer.drop_passages(dropped)

        only_drops = set(changes) == {"drop"}
        return Plan(
            old={name: present.to_json()[name] for name in names},
            requested=changes,
            effective={
                **{name: new[name] for name in names},
                **self._steps_reached(at_once=only_drops),
            },
            apply=apply,
        )

    def _refuse_mixture(self, command: UpdateMixture) -> Rejected | None:
        weights, dropped = command.weights or {}, command.drop or []
        for source in (*weights, *(command.half_life_clips or {}), *dropped):
            if source not in SOURCES:
                hint = f"no source {source!r}; did you mean {nearest_source(source)!r}?"
                return Rejected(Reason.UNKNOWN_SOURCE, hint)
        if both := set(weights) & set(dropped):
            return Rejected(Reason.OUT_OF_BOUNDS, f"{min(both)} is given a weight and dropped")
        most = max(1, self._config.lanes.lanes - 1)
        if command.fresh_rows is not None and command.fresh_rows > most:
            return Rejected(Reason.OUT_OF_BOUNDS, f"fresh_rows is at most {most}: lanes less one")
        return None

    def _plan_dataset(self, command: UpdateDataset) -> Plan | Rejected:
        if command.attach or command.detach:
            hint = "a run reads one store; update_mixture drops a source of it, or weighs it again"
            return Rejected(Reason.UNSUPPORTED, hint)
        source, parameters = command.dataset, command.parameters or {}
        if source not in self._sources:
            return refuse_name(Reason.UNKNOWN_DATASET, "data set", source, self._sources)
        plans = []
        for name, value in parameters.items():
            asked = UpdateSetting(setting=name, value=value)
            plan = self._sources[source].plan(asked)
            if isinstance(plan, Rejected):
                return plan
            plans.append(plan)

        def apply() -> None:
            for plan in plans:
                plan.apply()

        return Plan(
            old={
                "dataset": source,
                "parameters": {plan.old["setting"]: plan.old["value"] for plan in plans},
            },
            requested=command.changes(),
            effective={**command.changes(), **self._steps_reached()},
            apply=apply,
        )

    def _begin_rate(self, lr: float, warmup_steps: int) -> None:
        """Begin a stage's learning rate: the steerable schedule stays, with another inside."""
        if warmup_steps > 1:
            rising = {"start_factor": 1 / warmup_steps, "total_iters": warmup_steps - 1}
            self._schedule.replace("LinearLR", rising, lr)
        else:
            self._schedule.replace("ConstantLR", {"factor": 1.0}, lr)

    def _steps_reached(self, at_once: bool = False) -> dict[str, int]:
        """Return the steps at which the first and the last lane draw from changed data."""
        first = self.step + 1
        return {
            "first_step": first,
            "last_step": first if at_once else first + self._trainer.passages_left(),
        }


def _knobs(trainer: Trainer, config: NeuralosConfig) -> Settings:
    """Return what can be set of the averages and of the loss."""
    knobs, optimizer = Settings(), trainer.optimizer

    def reading(name: str) -> Callable[[], Any]:
        return lambda: getattr(trainer.objective, name)

    def writing(name: str) -> Callable[[Any], None]:
        def write(value: Any) -> None:
            trainer.objective = replace(trainer.objective, **{name: value})

        return write

    def number(name: str, low: float, high: float, whole: bool = False) -> None:
        read, write = reading(name), writing(name)
        knobs.number(f"objective.{name}", read, write, low=low, high=high, whole=whole)

    knobs.number(
        "optimizer.ema_decay",
        lambda: optimizer.ema_decay,
        lambda decay: setattr(optimizer, "ema_decay", decay),
        low=0.0,
        high=0.999999,
    )
    knobs.choice(
        "training.stage",
        lambda: trainer.course.stage.name,
        trainer.begin_stage,
        choices=trainer.course.names,
    )
    number("feedback_noise", 0.0, 10.0)
    number("still_weight", 0.0, _HIGHEST_WEIGHT)
    number("surprise", 0.0, _HIGHEST_WEIGHT)
    number("drawn_frames", 1, config.lanes.lanes * config.lanes.frames, whole=True)
    for part in ("fate", "piece", "look", "draft", "diffusion"):
        number(part, 0.0, _HIGHEST_WEIGHT)
    return knobs


def _source_knobs(trainer: Trainer, source: str) -> Settings:
    """Return what can be set of one source, as a data set of its own."""
    knobs = Settings()

    def write(half_life: float) -> None:
        halves = {**trainer.mixture.half_life_clips, source: half_life}
        trainer.mixture = replace(trainer.mixture, half_life_clips=halves)

    def write_intake(is_on: bool) -> None:
        trainer.mixture = replace(trainer.mixture, live_intake=is_on)

    knobs.number(
        "half_life_clips",
        lambda: trainer.mixture.half_life_clips.get(source),
        write,
        low=1e-3,
        high=1e9,
    )
    if source == LIVE_SOURCE:
        knobs.flag("live_intake", lambda: trainer.mixture.live_intake, write_intake)
    return knobs


def create_trainer(config_path: Path, run_dir: Path) -> SteeredTrainer:
    """Build the trainer of a run, whose clips lie in its ``traces`` folder.

    Where ``torch.distributed`` is initialised it is one of several ranks.

    Raises:
        ConfigError: the configuration is wrong, or the ranks cannot share the lanes.
    """
    make_deterministic()
    config = read_config(config_path)
    traces = run_dir / TRACES_FOLDER
    start = run_dir / START_FOLDER if config.training.start else None
    trainer = build_trainer(config, clips_of(traces), time.perf_counter, start, ranks_here())
    return SteeredTrainer(trainer, config, run_dir)


def _rollout_name(branch: str, step: int) -> str:
    prefix = "" if branch == "main" else f"{branch}-"
    return f"{prefix}step-{step:06d}.png"
