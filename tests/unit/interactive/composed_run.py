"""The whole application of a run, as ``neuralos`` serves it, over a hand-written run folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from served_run import ServedRun

from data_collection.storage.store import TraceStore
from data_collection.streaming.decode_pool import DecodePool
from experiments.address import Address
from experiments.server import compose, open_service


@contextmanager
def composed(path: Path) -> Iterator[ServedRun]:
    """Yield a run whose ``app`` has every route, ingest and page included."""
    run = ServedRun(path)
    run.service.inbox.close()
    store = TraceStore.open(run.folder.traces)
    try:
        address = Address("127.0.0.1", 80)
        run.service = open_service(run.folder, store, address)
        run.app = compose(run.folder, store, address, run.service, DecodePool())
        yield run
    finally:
        store.close()


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """Return method and path of every route, hidden ones included."""
    return sorted(set(_walk(app.routes, "")))


def _walk(routes: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _walk(inner.routes, prefix)
        elif isinstance(route, APIRoute):
            yield from ((method, prefix + route.path) for method in route.methods)
        else:
            yield type(route).__name__, str(getattr(route, "path", ""))
