"""Stand-ins that tests share: runs of the fake trainer, and a source without a server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from interactive.commands import COMMAND, Envelope
from interactive.outcome import Issuer, IssuerKind
from interactive.record.data_log import DataLog
from interactive.record.run_folder import RunFolder, RunInfo
from interactive.steering.boundary import Cadence
from interactive.steering.session import Session, open_session
from interactive.steering.source import Delivered
from interactive.trainer import DataLost, DataRow
from tests.fake_trainer import FakeTrainer

PERSON = Issuer("operator", IssuerKind.PERSON)


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


@dataclass
class World:
    """What happens outside a run, by place: it goes on happening whoever crashes.

    ``commands`` and ``rows`` arrive when a branch has made that many updates; ``while_held``
    arrive one by one whenever the run holds. What has arrived is delivered again to every
    later session, as a server's inbox does. ``is_away`` says that nobody is there to command.
    """

    commands: dict[tuple[str, int], list[Delivered]] = field(default_factory=dict)
    rows: dict[tuple[str, int], list[DataRow]] = field(default_factory=dict)
    while_held: list[Delivered] = field(default_factory=list)
    arrived: list[Delivered] = field(default_factory=list)
    is_away: bool = False

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
        self.away_s = 0.0
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
        self.away_s += timeout_s if self._world.is_away else 0.0
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
