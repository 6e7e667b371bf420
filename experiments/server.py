"""The run's server: control, ingest and page routers composed into one app."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from data_collection.clock import SystemClock
from data_collection.storage.store import TraceStore
from data_collection.streaming.decode_pool import DecodePool
from data_collection.streaming.ingest import MAX_BODY_BYTES, IngestService
from data_collection.streaming.ingest_routes import create_router as create_ingest_router
from experiments.address import Address, PortTaken
from experiments.clocks import ClockListener, ClockNotes
from experiments.config import run_policy
from experiments.console import note
from experiments.jobs.queue import Jobs
from experiments.jobs.routes import create_router as create_jobs_router
from experiments.purge import Purger, purging
from experiments.window_sign import window_pid
from interactive.record.run_folder import RunFolder, ServerAddress
from interactive.server.auth import Auth
from interactive.server.connections import listening_on
from interactive.server.named_tokens import NamedTokens
from interactive.server.page import create_page_router
from interactive.server.routes import create_router as create_control_router
from interactive.server.security import CONTROL_BODY_BYTES, Limits, protect
from interactive.server.service import Facts, RunService
from interactive.server.tokens import create_tokens
from neuralos.data.mixture import BASE_SOURCE

TRACE_PATHS = "/traces"


def open_service(folder: RunFolder, store: TraceStore, address: Address) -> RunService:
    """Return what follows a run's files, knows how it stands, and judges commands.

    Raises:
        ConfigError: the run's policy is wrong.
    """
    counts = _LiveCounts(store)
    facts = Facts(
        url=address.url,
        server_pid=os.getpid(),
        window_pid=lambda: window_pid(folder),
        clips=counts.read,
    )
    policy = run_policy(folder.path)
    return RunService.open(folder, time.monotonic, time.time, policy=policy, facts=facts)


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
    auth = Auth(create_tokens(folder), time.time, named=NamedTokens(folder.named_tokens))
    app = FastAPI(title="Interactive Training", openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(create_control_router(service, auth, time.monotonic))
    ingest = IngestService(store, SystemClock(), decoders.examine)
    app.include_router(create_ingest_router(ingest, auth.authorise))
    app.include_router(create_jobs_router(Jobs(folder), auth.authorise, service.agents_halted))
    app.include_router(create_page_router())
    app.add_middleware(ClockListener, notes=ClockNotes(folder, time.time), prefix=TRACE_PATHS)
    caps = {"/": CONTROL_BODY_BYTES, TRACE_PATHS: MAX_BODY_BYTES}
    protect(app, Limits(hosts=address.names(), body_bytes=caps))
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
    address.check()
    with _store_of(folder) as store, _decoders() as decoders:
        service = open_service(folder, store, address)
        app = compose(folder, store, address, service, decoders)
        config = listening_on(app, address.host, address.port)
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
