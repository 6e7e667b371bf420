"""A script of the smallest size, as its parts: what the tests of the integrations train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from interactive.commands import COMMAND
from interactive.integrations.datasets import Datasets
from interactive.integrations.lr_schedule import LrSchedule
from interactive.integrations.optimizer import Clipping
from interactive.integrations.parts import TorchParts
from interactive.integrations.settings import Settings
from interactive.outcome import Rejected
from interactive.trainer import Plan, StepRecord


class Script(TorchParts):
    """Fits a line to points of two data sets; its dropout draws from the global generator."""

    def __init__(
        self,
        make: Callable[[list[dict[str, Any]]], Optimizer] | None = None,
        schedule: Callable[[Optimizer], LrSchedule] | None = None,
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 1))
        groups = [
            {"params": list(model[0].parameters()), "name": "body"},
            {"params": list(model[3].parameters()), "lr": 0.02},
        ]
        optimizer = (make or (lambda made: AdamW(made, lr=0.05)))(groups)
        settings, self.dropout = Settings(), model[1]
        settings.number("dropout", self._p, self._set_p, low=0.0, high=0.9)
        settings.flag("double_loss", lambda: self.double, self._set_double)
        settings.choice("target", lambda: self.target, self._set_target, choices=("sum", "product"))
        settings.number("batch", lambda: self.batch, self._set_batch, low=1, high=64, whole=True)
        self.double, self.target, self.batch, self.shift = False, "sum", 4, 0.0
        shifted = Settings()
        shifted.number("shift", lambda: self.shift, self._set_shift, low=-1.0, high=1.0)
        datasets = Datasets(seed=5)
        datasets.register("near", 1.0)
        datasets.register("far", 3.0, attached=False, parameters=shifted)
        super().__init__(
            model,
            optimizer,
            schedule=schedule(optimizer) if schedule else None,
            clipping=Clipping(1.0),
            settings=settings,
            evaluations={"level": self._level},
            datasets=datasets,
            seed=5,
        )
        self.own_schedule = schedule is not None

    def _p(self) -> float:
        return float(self.dropout.p)

    def _set_p(self, p: float) -> None:
        self.dropout.p = p

    def _set_double(self, double: bool) -> None:
        self.double = double

    def _set_target(self, target: str) -> None:
        self.target = target

    def _set_batch(self, batch: int) -> None:
        self.batch = batch

    def _set_shift(self, shift: float) -> None:
        self.shift = shift

    def _level(self) -> Mapping[str, float]:
        self.model.eval()
        with torch.no_grad():
            return {"level": float(self.model(torch.rand(4, 2)).mean())}

    def train_step(self) -> StepRecord:
        source = self.datasets.pick(self.step)
        size = self.datasets[source]
        keyed = torch.Generator().manual_seed(self.step)
        inputs = torch.rand(self.batch, 2, generator=keyed) * size
        inputs = inputs + (self.shift if source == "far" else 0.0)
        wanted = inputs.sum(1) if self.target == "sum" else inputs.prod(1)
        loss = ((self.model(inputs)[:, 0] - wanted) ** 2).mean() * (2.0 if self.double else 1.0)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = self.clip()
        self.optimizer.step()
        if self.own_schedule:
            self.schedule.step(loss.item())
        return self.made(loss, norm)


def sgd(groups: list[dict[str, Any]]) -> Optimizer:
    return SGD(groups, lr=0.05, momentum=0.9)


def planned(parts: TorchParts, **command: Any) -> Plan:
    plan = parts.plan(COMMAND.validate_python(command))
    assert isinstance(plan, Plan), plan
    return plan


def refused(parts: TorchParts, **command: Any) -> Rejected:
    answer = parts.plan(COMMAND.validate_python(command))
    assert isinstance(answer, Rejected), answer
    return answer


def bits(records: list[StepRecord]) -> list[tuple[object, ...]]:
    return [(r.step, r.loss, r.grad_norm, r.lr, r.digest, tuple(r.extra.items())) for r in records]
