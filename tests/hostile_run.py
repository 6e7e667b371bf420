"""A fake trainer's run behind the real server, in one process, under hostile commands."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI

from interactive.outcome import CommandState
from interactive.policy import CHANGES, AgentLimits, Policy, Role
from interactive.record.data_log import DataLog
from interactive.record.ledger import Entry, EntryKind, LedgerTail, read_ledger
from interactive.record.run_folder import RunFolder
from interactive.server.auth import Auth
from interactive.server.pace import Pace, Rate
from interactive.server.routes import create_router
from interactive.server.security import Limits, protect
from interactive.server.service import RunService
from interactive.server.tokens import create_tokens
from interactive.steering.boundary import Cadence
from interactive.steering.session import Session, open_session
from interactive.steering.source import Delivered, parse_delivered
from interactive.trainer import DataRow
from tests.fake_trainer import FakeTrainer
from tests.fakes import build_fake_trainer, make_run
from tests.hostile_commands import hostile_bodies

AT_ONCE = 8
"""How many commands come before one step at most."""
ROLES = (Role.OPERATOR, Role.OPERATOR, Role.AGENT, Role.ADMIN)
RESUME = {"command": "resume"}


@dataclass
class Tally:
    """What became of so many hostile commands."""

    sent: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Answered with a refusal at once, by code."""
    met: Counter[str] = field(default_factory=Counter)
    """What the ledger says of accepted ones: the state, or the code of a refusal."""
    held: int = 0
    repeated: int = 0
    """Sent again with its id, and answered as before."""
    steps: int = 0
    stops: int = 0
    unexplained: list[str] = field(default_factory=list)
    """Refusals without code or hint, and changes without an entry."""


class HostileServer:
    """The real application over a run, asked in this process; and the trainer's source."""

    def __init__(self, folder: RunFolder, app: FastAPI, secrets: dict[Role, str]) -> None:
        transport = httpx.ASGITransport(app)
        self._loop = asyncio.Runner()
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        self._secrets = secrets
        self._fetched = 0
        self._taken: set[str] = set()
        self.folder = folder
        self.tally = Tally()

    def send(self, body: bytes, role: Role) -> None:
        """Send a body, and note what is answered."""
        headers = {"Authorization": f"Bearer {self._secrets[role]}"}
        got = self.await_(self._client.post("/api/commands", content=body, headers=headers))
        tally, answer = self.tally, got.json()
        tally.sent += 1
        if got.status_code == 202:
            tally.repeated += answer["command_id"] in self._taken
            self._taken.add(answer["command_id"])
            tally.held += answer["state"] == "awaiting_approval"
            return
        code, hint = answer.get("code"), answer.get("hint")
        if not (400 <= got.status_code < 500 and code and hint):
            tally.unexplained.append(f"{got.status_code} {answer} for {body[:200]!r}")
        tally.refused[str(code)] += 1

    def await_(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return what the server's side gives; nothing else runs meanwhile."""
        return self._loop.run(coroutine)

    def close(self) -> None:
        self._loop.close()

    def fetch(self) -> list[Delivered]:
        """Return the commands that the trainer has not got yet, as its link reads them."""
        headers = {"Authorization": f"Bearer {self._secrets[Role.TRAINER]}"}
        params = {"after": self._fetched}
        got = self.await_(self._client.get("/api/commands", params=params, headers=headers))
        self._fetched = got.json()["head"]
        return [parse_delivered(one) for one in got.json()["commands"]]


class HostileSource:
    """What the boundary listens to; while the run holds it is told to go on."""

    def __init__(self, server: HostileServer, data: DataLog, draw: random.Random) -> None:
        self._server = server
        self._data = data
        self._draw = draw
        self._arrived: list[Delivered] = []
        self.command_head = 0

    @property
    def data_head(self) -> int:
        return self._data.head

    def commands(self) -> list[Delivered]:
        arrived, self._arrived = self._arrived, []
        return arrived

    def rows(self, after: int, upto: int) -> Sequence[DataRow]:
        return self._data.rows(after, upto)

    def poll(self) -> None:
        self._arrived += self._server.fetch()
        self.command_head += len(self._arrived)

    def wait(self, timeout_s: float) -> None:
        named = str(UUID(int=self._draw.getrandbits(128), version=4))
        body = json.dumps({"command_id": named, "command": RESUME})
        self._server.send(body.encode(), Role.OPERATOR)
        self._server.tally.sent -= 1  # that one is the harness's own
        self.poll()


def run_hostile(path: Path, count: int, seed: int) -> Tally:
    """Send so many hostile commands to a run that trains meanwhile; return what happened."""
    folder = make_run(path, seed=seed)
    tokens = create_tokens(folder)
    free = Pace(Rate(1e12, 1e12))
    auth = Auth(tokens, lambda: 0.0, known=free, strangers=free)
    policy = Policy(agent=AgentLimits(commands=0, commands_per_minute=0, cooldown_steps=2))
    service = RunService.open(folder, lambda: 0.0, lambda: 0.0, policy=policy)
    app = FastAPI(openapi_url=None)
    app.include_router(create_router(service, auth, lambda: 0.0))
    protect(app, Limits())
    trainer, draw = build_fake_trainer(folder.config, folder.path), random.Random(seed)
    bodies = islice(hostile_bodies(seed), count)
    server = HostileServer(folder, app, dict(tokens.secret_of))
    sources: list[HostileSource] = []

    def connect(data: DataLog) -> HostileSource:
        sources.append(HostileSource(server, data, draw))
        return sources[-1]

    with open_session(
        folder,
        trainer,
        open_source=connect,
        cadence=Cadence(checkpoint_every=200),
        clock=lambda: 0.0,
        warn=lambda line: None,
    ) as session:
        _train(session, trainer, sources[0], server, service, bodies, draw)
    server.close()
    service.inbox.close()
    _read_outcomes(read_ledger(folder.ledger), server.tally)
    return server.tally


def _train(
    session: Session,
    trainer: FakeTrainer,
    source: HostileSource,
    server: HostileServer,
    service: RunService,
    bodies: Iterator[bytes],
    draw: random.Random,
) -> None:
    """Step after step, with commands before each, until none is left."""
    tally, ledger = server.tally, LedgerTail(server.folder.ledger)
    while True:
        batch = list(islice(bodies, draw.randint(1, AT_ONCE)))
        if not batch:
            return
        for body in batch:
            server.send(body, draw.choice(ROLES))
        source.poll()
        before = _digest(trainer)
        if not session.cross():
            tally.stops += 1
            return
        new = ledger.read_new()
        if _digest(trainer) != before and not any(map(_is_change, new)):
            tally.unexplained.append(f"a change without an entry before step {trainer.step + 1}")
        session.record(trainer.train_step())
        tally.steps += 1
        server.await_(service.refresh())


def _digest(trainer: FakeTrainer) -> str:
    return f"{trainer.step} {trainer.digest()} {json.dumps(trainer.settings(), sort_keys=True)}"


def _is_change(entry: Entry) -> bool:
    return (
        entry.kind is EntryKind.INTERVENTION
        and entry.body["state"] == CommandState.APPLIED.value
        and entry.body["command"]["command"] in CHANGES
    )


def _read_outcomes(entries: Sequence[Entry], tally: Tally) -> None:
    for entry in entries:
        if entry.kind is EntryKind.FAILURE:
            tally.met["failed"] += 1
        elif entry.kind is EntryKind.INTERVENTION:
            state, code = entry.body["state"], entry.body.get("code")
            is_refusal = state in ("rejected", "expired")
            if is_refusal and not (code and entry.body.get("hint")):
                tally.unexplained.append(f"entry {entry.seq} says {code!r} without a hint")
            tally.met[code if is_refusal else state] += 1
