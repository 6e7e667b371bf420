"""A small run in this process, an agent beside it, and no server between them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from interactive.agents.agent import Agent, History
from interactive.client import as_json
from interactive.outcome import Issuer, IssuerKind
from interactive.record.data_log import DataLog
from interactive.record.ledger import read_ledger
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder
from interactive.steering.boundary import Cadence
from interactive.steering.session import Session, open_session
from interactive.steering.source import Delivered
from interactive.trainer import StepRecord
from tests.fake_trainer import FakeTrainer
from tests.fakes import ScriptedSource, World, delivered, make_run

CURVATURE = (12.0, 0.5, 3.0, 6.0)
AGENT = Issuer("agent", IssuerKind.SCRIPT)


class Valley(FakeTrainer):
    """Descent in a noisy quadratic valley: it diverges from a learning rate of 1/6 on."""

    def __init__(self, lr: float, poison_at: int | None = None) -> None:
        super().__init__(seed=5)
        self._lr = lr
        self.poison_at = poison_at

    def train_step(self) -> StepRecord:
        draw = random.Random(f"{self.seed}/{self._step}")
        pairs = list(zip(CURVATURE, self._weights, strict=True))
        loss = 0.5 * sum(c * w * w for c, w in pairs)
        gradient = [c * w + draw.gauss(0, 1) for c, w in pairs]
        if self._step + 1 == self.poison_at:
            self.poison_at = None
            gradient[0] = math.nan
        self._weights = [w - self._lr * g for w, g in zip(self._weights, gradient, strict=True)]
        self._step += 1
        norm = math.sqrt(sum(g * g for g in gradient))
        return StepRecord(self._step, loss, norm, self._lr, self.digest())


class SteeredRun:
    """A run that an agent looks at every few steps; what it proposes is delivered at once."""

    def __init__(self, path: Path, trainer: FakeTrainer, evaluate_every: int = 0) -> None:
        self.folder: RunFolder = make_run(path)
        self.trainer = trainer
        self.sent: list[dict[str, Any]] = []
        self.cadence = Cadence(checkpoint_every=25, evaluate_every=evaluate_every)
        self._sent = 0

    def history(self, session: Session) -> History:
        """Return what the server would show of it."""
        branch = session.status().branch
        rows = [row for row in read_metrics(self.folder.metrics) if row.branch == branch]
        return History(
            branch=branch,
            step=self.trainer.step,
            lr=self.trainer.settings()["optimizer"]["lr"],
            steps=[row.step for row in rows],
            losses=[row.loss for row in rows],
            entries=read_ledger(self.folder.ledger),
        )

    def train(
        self,
        steps: int,
        agent: Agent,
        look_every: int = 10,
        at: Callable[[int], dict[str, Any] | None] = lambda made: None,
    ) -> list[float]:
        """Make so many updates under an agent and return the losses in their order."""
        sources: list[ScriptedSource] = []
        losses: list[float] = []

        def connect(data: DataLog) -> ScriptedSource:
            sources.append(World().connect(data))
            return sources[0]

        with open_session(
            self.folder,
            self.trainer,
            open_source=connect,
            cadence=self.cadence,
            clock=lambda: 0.0,
            warn=lambda text: None,
        ) as session:
            for made in range(steps):
                told = at(made)
                if told is not None:
                    sources[0].deliver(self._deliver(told, "a person"))
                elif made % look_every == 0:
                    proposal = agent.observe(self.history(session))
                    if proposal is not None:
                        command = as_json(proposal.command)
                        self.sent.append(command)
                        sources[0].deliver(self._deliver(command, proposal.reason))
                assert session.cross()
                record = self.trainer.train_step()
                session.record(record)
                losses.append(record.loss)
        return losses

    def _deliver(self, command: dict[str, Any], reason: str) -> Delivered:
        self._sent += 1
        return delivered(self._sent, command, reason=reason, command_id=UUID(int=self._sent))
