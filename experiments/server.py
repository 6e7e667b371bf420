"""The run's server: control, ingest and page routers composed into one app."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from data_collection.clock import SystemClock
from data_collection.storage.store import TraceStore
from data_collection.streaming.decode_pool import DecodePool
from data_collection.streaming.ingest import MAX_BODY_BYTES, IngestService
from data_collection.streaming.ingest_routes import create_router as create_ingest_router
from experiments.clocks import ClockListener, ClockNotes
from experiments.console import note
from experiments.purge import Purger, purging
from experiments.window_sign import window_pid
from interactive.run_folder import RunFolder, ServerAddress
from interactive.server.auth import Auth, check_bind
from interactive.server.page import create_page_router
from interactive.server.routes import create_router as create_control_router
from interactive.server.security import CONTROL_BODY_BYTES, LOOPBACK_HOSTS, Limits, protect
from interactive.server.service import Facts, RunService
from interactive.tokens import create_tokens
from neuralos.data.mixture import BASE_SOURCE

TRACE_PATHS = "/traces"


class PortTaken(Exception):
    """The address cannot be listened on."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {why}.")
        self.hint = "Name another --port, or leave it out to take a free one."


class BindRefused(Exception):
    """The address is open to others, and nobody said that it may be."""

    def __init__(self, hint: str) -> None:
        super().__init__("refusing to listen beyond this machine.")
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens; ``allow_remote`` lets it listen beyond this machine."""

    host: str = "127.0.0.1"
    port: int = 0
    allow_remote: bool = False

    @property
    def url(self) -> str:
        """Return the address as a URL."""
        return f"http://{self.host}:{self.port}"


def free_port(host: str, wanted: int, before: ServerAddress | None) -> int:
    """Return the port to listen on: the wanted one, the run's last one, or any free one.

    Raises:
        PortTaken: the wanted port is not free.
    """
    if wanted:
        _probe(host, wanted)
        return wanted
    if before is not None:
        try:
            return _probe(host, int(before.url.rsplit(":", 1)[1]))
        except PortTaken:
            pass
    return _probe(host, 0)


def _probe(host: str, port: int) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(host, port, error.strerror or str(error)) from None
        return int(probe.getsockname()[1])


def open_service(folder: RunFolder, store: TraceStore, address: Address) -> RunService:
    """Return what follows a run's files and knows how it stands."""
    counts = _LiveCounts(store)
    facts = Facts(
        url=address.url,
        server_pid=os.getpid(),
        window_pid=lambda: window_pid(folder),
        clips=counts.read,
    )
    return RunService.open(folder, time.monotonic, time.time, facts=facts)


def compose(
    folder: RunFolder,
    store: TraceStore,
    address: Address,
    service: RunService,
    decoders: DecodePool,
) -> FastAPI:
    """Return the app of a run.

    Args:
        folder: the run.
        store: its traces, held by this process.
        address: where the app will listen.
        service: follows the run's files.
        decoders: where strangers' clips are decoded.
    """
    auth = Auth(create_tokens(folder), time.time)
    app = FastAPI(title="Interactive Training", docs_url=None, redoc_url=None)
    app.include_router(create_control_router(service, auth, time.monotonic))
    ingest = IngestService(store, SystemClock(), decoders.examine)
    app.include_router(create_ingest_router(ingest, auth.authorise))
    app.include_router(create_page_router())
    app.add_middleware(ClockListener, notes=ClockNotes(folder, time.time), prefix=TRACE_PATHS)
    caps = {"/": CONTROL_BODY_BYTES, TRACE_PATHS: MAX_BODY_BYTES}
    protect(app, Limits(hosts=LOOPBACK_HOSTS | {address.host}, body_bytes=caps))
    return app


class _LiveCounts:
    """Counts the clips by source, for the page."""

    def __init__(self, store: TraceStore) -> None:
        self._store = store

    def read(self) -> dict[str, int]:
        counts = self._store.index.counts()
        return {
            "base": sum(count.clips for count in counts if count.source == BASE_SOURCE),
            "live": sum(count.clips for count in counts if count.source != BASE_SOURCE),
            "quarantined": self._store.index.quarantine_count(),
        }


@contextmanager
def _decoders() -> Iterator[DecodePool]:
    pool = DecodePool()
    pool.start()
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def _store_of(folder: RunFolder) -> Iterator[TraceStore]:
    store = TraceStore.open(folder.traces)
    try:
        yield store
    finally:
        store.close()


def serve(folder: RunFolder, address: Address, ended: threading.Event) -> None:
    """Serve a run until ``ended`` is set.

    Raises:
        BindRefused: the address reaches beyond this machine and nobody allowed it.
        PortTaken: the port is not free.
        StoreLocked: another server of this run is running.
    """
    refusal = check_bind(address.host, address.allow_remote)
    if refusal is not None:
        raise BindRefused(refusal.hint)
    with _store_of(folder) as store, _decoders() as decoders:
        service = open_service(folder, store, address)
        app = compose(folder, store, address, service, decoders)
        config = uvicorn.Config(
            app,
            host=address.host,
            port=address.port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        folder.write_server(ServerAddress(address.url, os.getpid()))
        threading.Thread(target=_end_when, args=(server, ended), daemon=True).start()
        purger = Purger(folder, store, service.may_train)
        try:
            with purging(purger, note):
                server.run()
        except SystemExit:
            why = "the address is taken" if not server.started else "the server failed"
            raise PortTaken(address.host, address.port, why) from None


class _Server(uvicorn.Server):
    """Leaves signals to the process around it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _end_when(server: uvicorn.Server, ended: threading.Event) -> None:
    ended.wait()
    server.should_exit = True
