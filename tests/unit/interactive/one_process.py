"""A run's real parts in one process: inbox, routes, link, boundary, files; each may be killed.

Nothing sleeps and nothing listens: requests go straight to the application, the link fetches
when it is told to, and a boundary that would hold returns to its driver.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import httpx
from fastapi import FastAPI

from interactive.policy import Policy, Role
from interactive.record import journal
from interactive.record.checkpoints import CheckpointLibrary
from interactive.record.data_log import DataLog
from interactive.record.journal import JournalWriter
from interactive.record.ledger import LedgerWriter
from interactive.record.metrics import MetricsWriter
from interactive.record.run_folder import RunFolder
from interactive.server.auth import Auth
from interactive.server.inbox import Request
from interactive.server.routes import create_router
from interactive.server.service import RunService
from interactive.server.tokens import create_tokens
from interactive.steering import link as link_module
from interactive.steering.boundary import Cadence
from interactive.steering.link import Link
from interactive.steering.session import Session, open_session
from tests.fake_trainer import FakeTrainer
from tests.fakes import build_fake_trainer
from tests.faults import FailingDisk, failing_disk

_LOOP = asyncio.new_event_loop()


class Killed(BaseException):
    """The process dies here."""


class Held(BaseException):
    """The boundary would wait now: for somebody to resume the run."""


class Failpoints:
    """Where the trainer's process is to die next; it dies once, and is then disarmed."""

    def __init__(self) -> None:
        self._name = ""
        self._passages = 0

    def arm(self, name: str, passage: int) -> None:
        """Die at the so-manieth passage of a point, counted from 1."""
        assert name in POINTS
        self._name, self._passages = name, passage

    def disarm(self) -> None:
        """Die nowhere."""
        self._name = ""

    def is_hit(self, name: str) -> bool:
        """Count a passage of a point; tell whether it is the fatal one."""
        if name != self._name:
            return False
        self._passages -= 1
        if self._passages > 0:
            return False
        self.disarm()
        return True


def _before(act: Callable[..., Any]) -> Callable[..., Any]:
    def dying(*args: Any, **kwargs: Any) -> Any:
        raise Killed

    return dying


def _after(act: Callable[..., Any]) -> Callable[..., Any]:
    def dying(*args: Any, **kwargs: Any) -> Any:
        act(*args, **kwargs)
        raise Killed

    return dying


def _torn(act: Callable[..., Any]) -> Callable[..., Any]:
    def dying(self: JournalWriter, lines: bytes, *, durable: bool) -> None:
        act(self, lines[: len(lines) // 2], durable=durable)
        raise Killed

    return dying


def _half_saved(act: Callable[..., Any]) -> Callable[..., Any]:
    def dying(self: FakeTrainer, folder: Path) -> None:
        (folder / "state.json").write_text('{"step":')
        raise Killed

    return dying


POINTS: dict[str, tuple[type, str, Callable[..., Any]]] = {
    "before a ledger entry": (LedgerWriter, "append", _before),
    "after a ledger entry, before it is applied": (LedgerWriter, "append", _after),
    "in a line of any journal": (JournalWriter, "write", _torn),
    "before a row of the metrics": (MetricsWriter, "append", _before),
    "after a row of the metrics": (MetricsWriter, "append", _after),
    "before a step": (FakeTrainer, "train_step", _before),
    "before a checkpoint": (CheckpointLibrary, "publish", _before),
    "in a checkpoint": (FakeTrainer, "save", _half_saved),
    "after a checkpoint": (CheckpointLibrary, "publish", _after),
    "in pruning": (CheckpointLibrary, "prune", _before),
    "after a checkpoint was loaded": (FakeTrainer, "load", _after),
    "in an evaluation": (FakeTrainer, "evaluate", _before),
}


class _HandLink(Link):
    """Never waits: a boundary that holds is left, and its head moves so that it looks again."""

    arrived = holds = 0

    @property  # type: ignore[override]
    def command_head(self) -> int:
        return self.arrived + 1_000_000 * self.holds

    @command_head.setter
    def command_head(self, seq: int) -> None:
        self.arrived = seq

    def wait(self, timeout_s: float) -> None:
        self.holds += 1
        raise Held


class _Current:
    """Stands for whatever service there is now."""

    def __init__(self, current: Callable[[], RunService]) -> None:
        self._current = current

    def __getattr__(self, name: str) -> Any:
        return getattr(self._current(), name)


class OneProcess(httpx.BaseTransport):
    """The run. As a transport, it is the network between clients, link and server.

    Args:
        folder: a fresh run folder.
        disk: the disk under it; armed for single statements of the inbox.
        failpoints: where the trainer dies.
        cadence: what the run does by itself.
        policy: what the server accepts.
        wall_clock: the server's seconds.
    """

    def __init__(
        self,
        folder: RunFolder,
        disk: FailingDisk,
        failpoints: Failpoints,
        cadence: Cadence,
        policy: Policy,
        wall_clock: Callable[[], float],
    ) -> None:
        self.folder = folder
        self.disk = disk
        self.failpoints = failpoints
        self.warnings: list[str] = []
        self.trainer: FakeTrainer | None = None
        self._cadence = cadence
        self._policy = policy
        self._clock = wall_clock
        self.tokens = create_tokens(folder)
        self._auth = Auth(self.tokens, wall_clock)
        self._opened: AbstractContextManager[Session] | None = None
        self._session: Session | None = None
        self._link: _HandLink | None = None
        self._is_reply_lost = False
        self.serves = False
        self.restarts = 0
        self.start_server()
        # Routes take long to make and hold nothing: they outlive the server that they serve.
        self._app = FastAPI(openapi_url=None)
        service = cast(RunService, _Current(lambda: self._service))
        self._app.include_router(create_router(service, self._auth, self._clock))

    # The server.

    def start_server(self) -> None:
        """Open the inbox and serve."""
        self._service = RunService.open(self.folder, self._clock, self._clock, self._policy)
        # A process that dies loses nothing that it wrote: only speed is lost by syncing.
        self._service.inbox._connection.execute("PRAGMA synchronous=OFF")
        self.serves = True

    def kill_server(self) -> None:
        """End it; nothing but the inbox's file is left."""
        self.serves = False
        self._service.inbox.close()

    def refresh(self) -> None:
        """Let the server read what the trainer wrote."""
        _LOOP.run_until_complete(self._service.refresh())

    def release_due(self) -> None:
        """Let the server look whose veto window is over."""
        _LOOP.run_until_complete(self._service.release_due())

    def requests(self) -> list[Request]:
        """Return what stands in the inbox."""
        return self._service.inbox.after(0)

    def client(self, role: Role) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.tokens.secret_of[role]}"}
        return httpx.Client(base_url="http://run", headers=headers, transport=self)

    def lose_reply(self) -> None:
        """Let the next request arrive, and its answer get lost."""
        self._is_reply_lost = True

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        is_lost, self._is_reply_lost = self._is_reply_lost, False
        if not self.serves:
            raise httpx.ConnectError("refused")
        try:
            response = _LOOP.run_until_complete(_ask(self._app, request))
        except sqlite3.OperationalError as error:
            raise httpx.ReadError("the server broke off") from error
        if is_lost:
            raise httpx.ReadError("the network broke off")
        return response

    # The trainer.

    @property
    def trains(self) -> bool:
        return self._session is not None

    def start_trainer(self) -> None:
        """Take the run up; it may die in that."""
        self.trainer = build_fake_trainer(self.folder.config, self.folder.path)
        opened = open_session(
            self.folder,
            self.trainer,
            open_source=self._connect,
            cadence=self._cadence,
            clock=lambda: 0.0,
            warn=self.warnings.append,
        )
        self.restarts += 1
        try:
            self._session = opened.__enter__()
            self._opened = opened
        except Killed:
            self.trainer = None

    def kill_trainer(self) -> None:
        """End it as it is, between two lines."""
        self._close(Killed())

    def fetch(self) -> bool:
        """Let the link ask the server for commands once; tell whether it got an answer."""
        assert self._link is not None
        try:
            with self.client(Role.TRAINER) as client:
                self._link.fetch_commands(client)
        except httpx.HTTPError:
            return False
        return True

    @property
    def fetched(self) -> int:
        """Return the seq up to which the boundary could know the commands."""
        return self._link.arrived if self._link is not None else 0

    @property
    def is_live(self) -> bool:
        """Return whether what was recorded has been made again."""
        return self._session is not None and self._session.recovery is not None

    def advance(self) -> str:
        """Cross the boundary and make a step: "stepped", "held", "stopped" or "killed"."""
        assert self._session is not None
        assert self.trainer is not None
        try:
            if not self._session.cross():
                self._close(None)
                return "stopped"
            self._session.record(self.trainer.train_step())
        except Held:
            return "held"
        except Killed as killed:
            self._close(killed)
            return "killed"
        return "stepped"

    def _close(self, killed: Killed | None) -> None:
        assert self._opened is not None
        with suppress(Killed):
            self._opened.__exit__(type(killed) if killed else None, killed, None)
        self._opened = self._session = self._link = self.trainer = None

    def _connect(self, data: DataLog) -> Link:
        self._link = _HandLink(self.folder, data, warn=self.warnings.append)
        return self._link


async def _ask(app: FastAPI, request: httpx.Request) -> httpx.Response:
    got = await httpx.ASGITransport(app).handle_async_request(request)
    content = await got.aread()
    return httpx.Response(got.status_code, headers=got.headers, content=content)


@contextmanager
def one_process(
    folder: RunFolder, cadence: Cadence, policy: Policy, wall_clock: Callable[[], float]
) -> Iterator[OneProcess]:
    """Yield a served run without a trainer yet, in which failpoints work."""
    failpoints = Failpoints()
    with ExitStack() as patches:
        for name in ("_fdatasync", "sync_folder"):
            patches.enter_context(patch.object(journal, name, lambda handle: None))
        disk = patches.enter_context(failing_disk(folder.path))
        patches.enter_context(patch.object(os, "fsync", lambda handle: None))
        patches.enter_context(patch.object(link_module, "_POLL_S", 0))
        for name, (owner, method, kill) in POINTS.items():
            guarded = _guarded(failpoints, name, getattr(owner, method), kill)
            patches.enter_context(patch.object(owner, method, guarded))
        parts = OneProcess(folder, disk, failpoints, cadence, policy, wall_clock)
        try:
            yield parts
        finally:
            failpoints.disarm()
            if parts.trains:
                parts.kill_trainer()
            if parts.serves:
                parts.kill_server()


def _guarded(
    failpoints: Failpoints, name: str, real: Callable[..., Any], kill: Callable[..., Any]
) -> Callable[..., Any]:
    def act(*args: Any, **kwargs: Any) -> Any:
        return (kill(real) if failpoints.is_hit(name) else real)(*args, **kwargs)

    return act
