"""Stand-ins that tests share: a small deterministic trainer, and a source without a server."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from interactive.commands import COMMAND, Envelope, TrainerCommand, UpdateMixture, UpdateOptimizer
from interactive.outcome import Issuer, IssuerKind, Reason, Rejected
from interactive.record.data_log import DataLog
from interactive.record.run_folder import RunFolder, RunInfo
from interactive.steering.boundary import Cadence
from interactive.steering.session import Session, open_session
from interactive.steering.source import Delivered
from interactive.trainer import DataLost, DataRow, EvaluationResult, Plan, StepRecord

SIZE = 4
PERSON = Issuer("operator", IssuerKind.PERSON)
FINGERPRINT = {"cpu": "fake", "threads": "1"}


class FakeTrainer:
    """Momentum descent on a few floats; each step follows from seed, data and settings alone.

    A lane reads the same clip for three steps, so that a change of the mixture reaches a
    gradient later than it is made, as in a real run.
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
        self._mixture: dict[str, float] = {"base": 1.0, "live": 1.0}
        self._live_intake = True
        self._rows: list[tuple[int, str]] = []
        self._clip: int | None = None

    @property
    def step(self) -> int:
        return self._step

    @property
    def evaluations(self) -> tuple[str, ...]:
        return ("rollout",)

    def settings(self) -> Mapping[str, Any]:
        mixture = {"weights": dict(self._mixture), "live_intake": self._live_intake}
        return {"optimizer": {"lr": self._lr}, "mixture": mixture}

    def train_step(self) -> StepRecord:
        self._break("train_step")
        lost = [commit for commit, _ in self._rows if commit in self.unreadable]
        if lost:
            raise DataLost(lost[:1], "purged")
        draw = random.Random(f"{self.seed}/{self._step}")
        if self._clip is None or self._step % 3 == 0:
            self._clip = self._draw_clip(draw)
        target = random.Random(f"clip/{self._clip}")
        gradient = [w - target.gauss(0, 1) + 0.1 * draw.gauss(0, 1) for w in self._weights]
        self._momentum = [0.9 * m + g for m, g in zip(self._momentum, gradient, strict=True)]
        self._weights = [
            w - self._lr * m for w, m in zip(self._weights, self._momentum, strict=True)
        ]
        self._step += 1
        norm = math.sqrt(sum(g * g for g in gradient))
        return StepRecord(
            step=self._step,
            loss=0.5 * norm * norm,
            grad_norm=norm,
            lr=self._lr,
            digest=self.digest(),
            commits=() if self._clip is None else (self._clip,),
        )

    def capabilities(self) -> Mapping[str, Any]:
        return {"optimizer": ["lr"], "sources": list(self._mixture), "evaluations": ["rollout"]}

    def plan(self, command: TrainerCommand) -> Plan | Rejected:
        self._break("plan")
        if isinstance(command, UpdateMixture):
            return self._plan_mixture(command)
        if not isinstance(command, UpdateOptimizer):
            return Rejected(Reason.UNSUPPORTED, "only lr and the mixture")
        changes = command.changes()
        if set(changes) != {"lr"}:
            return Rejected(Reason.UNSUPPORTED, "only lr")
        if changes["lr"] > 1.0:
            return Rejected(Reason.OUT_OF_BOUNDS, "lr is at most 1")

        def apply() -> None:
            self._break("apply")
            self._lr = changes["lr"]

        return Plan({"lr": self._lr}, changes, changes, apply)

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
            "mixture": self._mixture,
            "live_intake": self._live_intake,
            "rows": self._rows,
            "clip": self._clip,
        }
        (folder / "state.json").write_text(json.dumps(state))

    def load(self, folder: Path) -> None:
        if "load" in self.failing and (folder / "manifest.json").exists():
            self._weights = [math.nan] * SIZE
            raise self.failing["load"]
        state = json.loads((folder / "state.json").read_text())
        self._step = state["step"]
        self._weights = state["weights"]
        self._momentum = state["momentum"]
        self._lr = state["lr"]
        self._mixture = state["mixture"]
        self._live_intake = state["live_intake"]
        self._rows = [(commit, source) for commit, source in state["rows"]]
        self._clip = state["clip"]

    def _draw_clip(self, draw: random.Random) -> int | None:
        weights = [self._mixture.get(source, 0.0) for _, source in self._rows]
        if not any(weights):
            return None
        return draw.choices([commit for commit, _ in self._rows], weights)[0]

    def _plan_mixture(self, command: UpdateMixture) -> Plan | Rejected:
        changes = command.changes()
        unknown = set(changes.get("weights", {})) - set(self._mixture)
        if unknown:
            return Rejected(Reason.UNKNOWN_SOURCE, f"known are {sorted(self._mixture)}")
        weights = {**self._mixture, **changes.get("weights", {})}
        intake = bool(changes.get("live_intake", self._live_intake))

        def apply() -> None:
            self._mixture, self._live_intake = weights, intake

        old = {"weights": dict(self._mixture), "live_intake": self._live_intake}
        return Plan(old, changes, {"weights": weights, "live_intake": intake}, apply)

    def _break(self, verb: str) -> None:
        if verb in self.failing:
            raise self.failing[verb]


def build_fake_trainer(config: Path, run_dir: Path) -> FakeTrainer:
    """The entry point of runs in tests; ``config`` is JSON here."""
    return FakeTrainer(**json.loads(config.read_text()), folder=run_dir)


ENTRY_POINT = "tests.fakes:build_fake_trainer"


def delivered(seq: int, command: Mapping[str, Any], **envelope: Any) -> Delivered:
    """A command as the link would deliver it; its id follows from its number."""
    command_id = envelope.pop("command_id", UUID(int=seq))
    wrapped = Envelope(command_id=command_id, command=COMMAND.validate_python(command), **envelope)
    return Delivered(seq, PERSON, str(wrapped.command_id), wrapped)


def data_row(commit: int, source: str = "live") -> DataRow:
    """The row of a clip whose number in its trace is its commit number."""
    body = {"commit": commit, "source": source, "state": "committed", "trace_id": "t"}
    return DataRow(commit, {**body, "seq": commit})


def withdrawal_row(commit: int, of: int) -> DataRow:
    """The row that withdraws the clip ``of``."""
    return DataRow(commit, {**data_row(of).body, "commit": commit, "state": "tombstoned"})


def is_withdrawal(row: DataRow) -> bool:
    return row.body["state"] == "tombstoned"


@dataclass
class World:
    """What happens outside a run, by place: it goes on happening whoever crashes.

    ``commands`` and ``rows`` arrive when a branch has made that many updates; ``while_held``
    arrive one by one whenever the run holds. What has arrived is delivered again to every
    later session, as a server's inbox does.
    """

    commands: dict[tuple[str, int], list[Delivered]] = field(default_factory=dict)
    rows: dict[tuple[str, int], list[DataRow]] = field(default_factory=dict)
    while_held: list[Delivered] = field(default_factory=list)
    arrived: list[Delivered] = field(default_factory=list)

    def connect(self, data: DataLog) -> ScriptedSource:
        source = ScriptedSource(self, data)
        source.deliver(*self.arrived)
        return source


class ScriptedSource:
    """A source without a server."""

    def __init__(self, world: World, data: DataLog) -> None:
        self._world = world
        self._data = data
        self._inbox: list[Delivered] = []
        self._waits = 0
        self.command_head = 0

    @property
    def data_head(self) -> int:
        return self._data.head

    def reach(self, branch: str, step: int) -> None:
        """Let arrive what is due at a place; the second time there is nothing new."""
        self._data.append(self._world.rows.get((branch, step), []))
        self._arrive(self._world.commands.get((branch, step), []))

    def deliver(self, *commands: Delivered) -> None:
        self._inbox += commands
        self.command_head += len(commands)

    def commands(self) -> list[Delivered]:
        arrived, self._inbox = self._inbox, []
        return arrived

    def rows(self, after: int, upto: int) -> Sequence[DataRow]:
        return self._data.rows(after, upto)

    def wait(self, timeout_s: float) -> None:
        self._waits += 1
        if self._waits > 50:
            raise AssertionError("the run holds for ever")
        left = [c for c in self._world.while_held if c not in self._world.arrived]
        self._arrive(left[:1])

    def _arrive(self, commands: Sequence[Delivered]) -> None:
        fresh = [c for c in commands if c not in self._world.arrived]
        self._world.arrived += fresh
        self.deliver(*fresh)


def make_run(path: Path, *, seed: int = 3, min_rows: int = 0) -> RunFolder:
    """A run folder whose entry point is the fake trainer."""
    config = json.dumps({"seed": seed, "min_rows": min_rows})
    return RunFolder.create(
        path, config=config, info=RunInfo(entry_point=ENTRY_POINT, seed=seed, code_version="test")
    )


def run_session(
    folder: RunFolder,
    world: World,
    *,
    cadence: Cadence,
    trainer: FakeTrainer | None = None,
    warnings: list[str] | None = None,
) -> Session:
    """Take a run up and train until it ends by itself; ``trainer`` is fresh if given."""
    made = trainer or build_fake_trainer(folder.config, folder.path)
    sources: list[ScriptedSource] = []

    def connect(data: DataLog) -> ScriptedSource:
        sources.append(world.connect(data))
        return sources[0]

    with open_session(
        folder,
        made,
        open_source=connect,
        cadence=cadence,
        clock=lambda: 0.0,
        warn=(warnings if warnings is not None else []).append,
    ) as session:
        while True:
            sources[0].reach(session.status().branch, made.step)
            if not session.cross():
                return session
            try:
                record = made.train_step()
            except DataLost as lost:
                session.lose(lost)
            else:
                session.record(record)
