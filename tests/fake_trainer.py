"""A small deterministic trainer that offers every command, for tests without torch."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
from interactive.outcome import Reason, Rejected
from interactive.trainer import DataLost, DataRow, EvaluationResult, Plan, StepRecord

SIZE = 4
FINGERPRINT = {"cpu": "fake", "threads": "1"}
MODULES = {"first": (0, 1), "second": (2, 3)}
OPERATIONS = ("reset_parameters", "freeze", "unfreeze")
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "noise": {"kind": "number", "low": 0.0, "high": 1.0},
    "clipped": {"kind": "flag"},
    "target": {"kind": "choice", "choices": ["gauss", "uniform"]},
}
SCHEDULES = ("constant", "linear")


class FakeTrainer:
    """Momentum descent on a few floats; each step follows from seed, data and settings alone.

    A lane reads the same clip for three steps, so that a change of the mixture reaches a
    gradient later than it is made, as in a real run. It begins without a learning-rate
    schedule. A verb named in ``failing`` raises.
    """

    def __init__(self, seed: int = 0, min_rows: int = 0, folder: Path | None = None) -> None:
        self.seed = seed
        self.min_rows = min_rows
        self.folder = folder
        self.machine = dict(FINGERPRINT)
        self.evaluations_made = 0
        self.failing: dict[str, BaseException] = {}
        self.unreadable: set[int] = set()
        self._step = 0
        self._weights = [0.5 * (i + 1) for i in range(SIZE)]
        self._momentum = [0.0] * SIZE
        self._lr = 0.05
        self._schedule: dict[str, Any] | None = None
        self._mixture: dict[str, float] = {"base": 1.0, "live": 1.0}
        self._live_intake = True
        self._rows: list[tuple[int, str]] = []
        self._clip: int | None = None
        self._settings: dict[str, Any] = {"noise": 0.1, "clipped": False, "target": "gauss"}
        self._frozen: list[str] = []
        self._datasets: dict[str, dict[str, Any]] = {"extra": {"attached": False, "shift": 0.5}}

    @property
    def step(self) -> int:
        return self._step

    @property
    def evaluations(self) -> tuple[str, ...]:
        return ("rollout",)

    def settings(self) -> Mapping[str, Any]:
        return {
            "optimizer": {"lr": self._scheduled_lr()},
            "schedule": dict(self._schedule) if self._schedule else None,
            "mixture": {"weights": dict(self._mixture), "live_intake": self._live_intake},
            "settings": dict(self._settings),
            "frozen": list(self._frozen),
            "datasets": {name: dict(value) for name, value in self._datasets.items()},
        }

    def capabilities(self) -> Mapping[str, Any]:
        return {
            "optimizer": ["lr"],
            "groups": [],
            "schedules": list(SCHEDULES),
            "sources": list(self._mixture),
            "datasets": list(self._datasets),
            "settings": {name: dict(spec) for name, spec in SETTINGS.items()},
            "operations": {operation: list(MODULES) for operation in OPERATIONS},
            "evaluations": ["rollout"],
        }

    def train_step(self) -> StepRecord:
        self._break("train_step")
        lost = [commit for commit, _ in self._rows if commit in self.unreadable]
        if lost:
            raise DataLost(lost[:1], "purged")
        lr, draw = self._scheduled_lr(), random.Random(f"{self.seed}/{self._step}")
        if self._clip is None or self._step % 3 == 0:
            self._clip = self._draw_clip(draw)
        gradient = self._gradient(draw)
        self._momentum = [0.9 * m + g for m, g in zip(self._momentum, gradient, strict=True)]
        frozen = {index for module in self._frozen for index in MODULES[module]}
        self._weights = [
            w if index in frozen else w - lr * m
            for index, (w, m) in enumerate(zip(self._weights, self._momentum, strict=True))
        ]
        self._step += 1
        norm = math.sqrt(sum(g * g for g in gradient))
        return StepRecord(
            step=self._step,
            loss=0.5 * norm * norm,
            grad_norm=norm,
            lr=lr,
            digest=self.digest(),
            commits=() if self._clip is None else (self._clip,),
        )

    def plan(self, command: TrainerCommand) -> Plan | Rejected:
        self._break("plan")
        match command:
            case UpdateOptimizer():
                return self._plan_optimizer(command)
            case ScaleSchedule():
                return self._plan_scale(command)
            case ReplaceSchedule():
                return self._plan_replace(command)
            case UpdateMixture():
                return self._plan_mixture(command)
            case UpdateSetting():
                return self._plan_setting(command)
            case ModuleOperation():
                return self._plan_operation(command)
            case UpdateDataset():
                return self._plan_dataset(command)

    def adopt(self, mark: int, rows: Sequence[DataRow]) -> None:
        self._break("adopt")
        assert [row.commit for row in rows][-1] == mark
        new = [(row.commit, str(row.body["source"])) for row in rows if not is_withdrawal(row)]
        self._rows += new
        self.withdraw([row.withdraws for row in rows if row.withdraws is not None])

    def withdraw(self, commits: Sequence[int]) -> None:
        self._break("withdraw")
        self._rows = [(commit, source) for commit, source in self._rows if commit not in commits]
        if self._clip in commits:
            self._clip = None

    def ready(self) -> bool:
        return len(self._rows) >= self.min_rows

    def evaluate(self, evaluation: str, branch: str) -> EvaluationResult:
        self._break("evaluate")
        self.evaluations_made += 1
        return EvaluationResult({"distance": sum(w * w for w in self._weights)}, "rollouts/x.png")

    def fingerprint(self) -> Mapping[str, str]:
        return self.machine

    def digest(self) -> str:
        text = ",".join(w.hex() for w in self._weights)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def save(self, folder: Path) -> None:
        self._break("save")
        state = {
            "step": self._step,
            "weights": self._weights,
            "momentum": self._momentum,
            "lr": self._lr,
            "schedule": self._schedule,
            "mixture": self._mixture,
            "live_intake": self._live_intake,
            "rows": self._rows,
            "clip": self._clip,
            "settings": self._settings,
            "frozen": self._frozen,
            "datasets": self._datasets,
        }
        (folder / "state.json").write_text(json.dumps(state))

    def load(self, folder: Path) -> None:
        if "load" in self.failing and (folder / "manifest.json").exists():
            self._weights = [math.nan] * SIZE
            raise self.failing["load"]
        state = json.loads((folder / "state.json").read_text())
        state["rows"] = [(commit, source) for commit, source in state["rows"]]
        for name, value in state.items():
            setattr(self, f"_{name}", value)

    def _gradient(self, draw: random.Random) -> list[float]:
        target = random.Random(f"clip/{self._clip}")
        extra = self._datasets["extra"]
        shift = extra["shift"] if extra["attached"] else 0.0
        gradient = []
        for weight in self._weights:
            aim = target.gauss(0, 1)
            if self._settings["target"] == "uniform":
                aim = math.tanh(aim)
            noise = self._settings["noise"] * draw.gauss(0, 1)
            gradient.append(weight - aim - shift + noise)
        if self._settings["clipped"]:
            gradient = [max(-1.0, min(1.0, g)) for g in gradient]
        return gradient

    def _scheduled_lr(self) -> float:
        """The lr of the next step."""
        schedule = self._schedule
        if schedule is None:
            return self._lr
        lr = float(schedule["factor"] * schedule["lr"])
        if schedule["name"] == "linear":
            lr *= max(0.0, 1.0 - (self._step - schedule["start"]) / schedule["total"])
        return lr

    def _draw_clip(self, draw: random.Random) -> int | None:
        weights = [self._mixture.get(source, 0.0) for _, source in self._rows]
        if not any(weights):
            return None
        return draw.choices([commit for commit, _ in self._rows], weights)[0]

    def _plan_optimizer(self, command: UpdateOptimizer) -> Plan | Rejected:
        changes = command.changes()
        if command.group is not None:
            return Rejected(Reason.UNKNOWN_GROUP, "there is one group: leave it out")
        if set(changes) != {"lr"}:
            return Rejected(Reason.UNSUPPORTED, "only lr")
        if changes["lr"] > 1.0:
            return Rejected(Reason.OUT_OF_BOUNDS, "lr is at most 1")
        detached = {"schedule": None} if self._schedule else {}
        return self._planned(
            {"lr": self._scheduled_lr()},
            changes,
            {**changes, **detached},
            lambda: self._set(lr=changes["lr"], schedule=None),
        )

    def _plan_scale(self, command: ScaleSchedule) -> Plan | Rejected:
        if self._schedule is None:
            return Rejected(Reason.UNSUPPORTED, "no schedule is attached: replace_schedule first")
        old, factor = self._schedule["factor"], self._schedule["factor"] * command.factor
        schedule = {**self._schedule, "factor": factor}
        return self._planned(
            {"factor": old},
            {"factor": command.factor},
            {"factor": factor},
            lambda: self._set(schedule=schedule),
        )

    def _plan_replace(self, command: ReplaceSchedule) -> Plan | Rejected:
        if command.schedule not in SCHEDULES:
            return Rejected(Reason.UNKNOWN_SCHEDULE, f"known are {', '.join(SCHEDULES)}")
        total = command.arguments.get("num_training_steps", 10)
        if not isinstance(total, int) or total < 1 or len(command.arguments) > 1:
            return Rejected(Reason.OUT_OF_BOUNDS, "num_training_steps is at least 1, and all")
        new = {
            "name": command.schedule,
            "lr": self._scheduled_lr() if command.lr is None else command.lr,
            "start": self._step,
            "total": total,
            "factor": 1.0,
        }
        asked = command.model_dump(exclude={"command"}, exclude_none=True)
        return self._planned(
            {"schedule": self._schedule}, asked, new, lambda: self._set(schedule=new)
        )

    def _plan_mixture(self, command: UpdateMixture) -> Plan | Rejected:
        changes, drop = command.changes(), command.drop or []
        unknown = {*changes.get("weights", {}), *drop} - set(self._mixture)
        if unknown:
            return Rejected(Reason.UNKNOWN_SOURCE, f"known are {sorted(self._mixture)}")
        weights = {**self._mixture, **changes.get("weights", {}), **dict.fromkeys(drop, 0.0)}
        intake = bool(changes.get("live_intake", self._live_intake))
        is_dropped = dict(self._rows).get(self._clip or -1) in drop
        clip = None if is_dropped else self._clip
        return self._planned(
            {"weights": dict(self._mixture), "live_intake": self._live_intake},
            changes,
            {"weights": weights, "live_intake": intake},
            lambda: self._set(mixture=weights, live_intake=intake, clip=clip),
        )

    def _plan_setting(self, command: UpdateSetting) -> Plan | Rejected:
        name, value = command.setting, command.value
        if name not in SETTINGS:
            return Rejected(Reason.UNKNOWN_SETTING, f"known are {', '.join(SETTINGS)}")
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = {
            "noise": lambda: is_number and 0 <= value <= 1,  # type: ignore[operator]
            "clipped": lambda: isinstance(value, bool),
            "target": lambda: value in SETTINGS["target"]["choices"],
        }
        if not fits[name]():
            return Rejected(Reason.OUT_OF_BOUNDS, f"{name} is {dict(SETTINGS[name])}")
        return self._planned(
            {name: self._settings[name]},
            {name: value},
            {name: value},
            lambda: self._settings.update({name: value}),
        )

    def _plan_operation(self, command: ModuleOperation) -> Plan | Rejected:
        module = command.module
        if command.operation not in OPERATIONS:
            return Rejected(Reason.UNKNOWN_OPERATION, f"known are {', '.join(OPERATIONS)}")
        if module not in MODULES:
            return Rejected(Reason.UNKNOWN_MODULE, f"known are {', '.join(MODULES)}")

        def apply() -> None:
            if command.operation == "reset_parameters":
                draw = random.Random(f"{self.seed}/{self._step}/reset/{module}")
                for index in MODULES[module]:
                    self._weights[index], self._momentum[index] = draw.gauss(0, 1), 0.0
            else:
                others = [name for name in self._frozen if name != module]
                self._frozen = others + [module] * (command.operation == "freeze")

        asked = {"operation": command.operation, "module": module}
        return self._planned({"frozen": list(self._frozen)}, asked, asked, apply)

    def _plan_dataset(self, command: UpdateDataset) -> Plan | Rejected:
        named = [n for n in (command.attach, command.detach, command.dataset) if n is not None]
        if any(name not in self._datasets for name in named):
            return Rejected(Reason.UNKNOWN_DATASET, f"known are {', '.join(self._datasets)}")
        new = dict(self._datasets["extra"])
        if command.attach or command.detach:
            new["attached"] = command.attach is not None
        for name, value in (command.parameters or {}).items():
            if name != "shift" or not isinstance(value, (int, float)):
                return Rejected(Reason.OUT_OF_BOUNDS, "the only parameter is shift, a number")
            new[name] = value
        return self._planned(
            {"extra": dict(self._datasets["extra"])},
            command.changes(),
            {"extra": new},
            lambda: self._set(datasets={"extra": new}),
        )

    def _planned(
        self, old: Any, requested: Any, effective: Any, change: Callable[[], None]
    ) -> Plan:
        def apply() -> None:
            self._break("apply")
            change()

        return Plan(old, requested, effective, apply)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, f"_{name}", value)

    def _break(self, verb: str) -> None:
        if verb in self.failing:
            raise self.failing[verb]


def is_withdrawal(row: DataRow) -> bool:
    return row.body["state"] == "tombstoned"
