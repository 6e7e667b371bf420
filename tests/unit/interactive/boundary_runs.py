"""Runs of a fake trainer under commands that come at given steps, and readers of their ledger."""

from __future__ import annotations

from typing import Any

from interactive.record.ledger import Entry, EntryKind, read_ledger
from interactive.record.metrics import MetricsRow, read_metrics
from interactive.record.run_folder import RunFolder
from interactive.steering.boundary import Cadence
from tests.fakes import (
    FakeTrainer,
    World,
    build_fake_trainer,
    run_session,
)

LR = {"command": "update_optimizer", "lr": 0.01}
PAUSE, RESUME, STOP = {"command": "pause"}, {"command": "resume"}, {"command": "stop"}
SAVE, EVALUATE = {"command": "save_checkpoint"}, {"command": "evaluate"}
NOTE = {"command": "note", "text": "seen"}


def steer(folder: RunFolder, world: World, end: int = 8, **cadence: Any) -> FakeTrainer:
    trainer = build_fake_trainer(folder.config, folder.path)
    run_session(folder, world, cadence=Cadence(end_step=end, **cadence), trainer=trainer)
    return trainer


def at(step: int, *commands: Any) -> World:
    return World(commands={("main", step): list(commands)})


def interventions(folder: RunFolder) -> list[Entry]:
    return [e for e in read_ledger(folder.ledger) if e.kind is EntryKind.INTERVENTION]


def failures(folder: RunFolder) -> list[Entry]:
    return [e for e in read_ledger(folder.ledger) if e.kind is EntryKind.FAILURE]


def rows(folder: RunFolder) -> list[MetricsRow]:
    return list(read_metrics(folder.metrics))
