"""The HTTP face of ingest: traces and clips in, what is there and what is new out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse

from data_collection.storage.index import TraceSummary
from data_collection.streaming.bodies import DEFAULT_LIMITS, Bodies, BodyLimits, BodyRefused
from data_collection.streaming.ingest import MAX_BODY_BYTES, IngestService, unavailable
from data_collection.streaming.outcomes import (
    Accepted,
    BadRequest,
    Conflict,
    Duplicate,
    HashMismatch,
    Opened,
    OpenOutcome,
    PutOutcome,
    Quarantined,
    Unavailable,
    UnknownTrace,
    Withdrawn,
)
from data_collection.strict_json import parse_json
from data_collection.trace import ClipState

MAX_HEADER_BYTES = 64 * 2**10
MAX_COMMITS = 1000
MAX_WAIT_S = 60.0
_POLL_S = 0.05
_PUTS_AT_ONCE = 16
"""How many clips are on their way through the checks to the disk; those that wait for a
worker, or for the disk's commit of several, wait in a thread of their own."""
_RETRY_AFTER_S = 1

Authorise = Callable[[str], Callable[..., Any]]
"""Gives the FastAPI dependency that demands a role of the caller."""


def create_router(
    service: IngestService, authorise: Authorise, limits: BodyLimits = DEFAULT_LIMITS
) -> APIRouter:
    """Return the routes of ingest.

    Args:
        service: where traces and clips go.
        authorise: called with ``collector``, ``viewer`` and ``trainer``.
        limits: of the request bodies.
    """
    router = APIRouter()
    _add_writing(router, service, [Depends(authorise("collector"))], Bodies(limits))
    _add_reading(router, service, [Depends(authorise("viewer"))])
    trainer = [Depends(authorise("trainer"))]

    @router.get("/commits", dependencies=trainer)
    async def commits(
        request: Request,
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_COMMITS)] = 100,
        wait_s: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0.0,
    ) -> JSONResponse:
        deadline_s = anyio.current_time() + wait_s
        while service.store.index.last_commit <= after and anyio.current_time() < deadline_s:
            if await request.is_disconnected():
                break
            await anyio.sleep(_POLL_S)
        return await _reading(_commits, service, after, limit)

    return router


def _add_writing(
    router: APIRouter, service: IngestService, collector: Sequence[Any], bodies: Bodies
) -> None:
    puts = anyio.CapacityLimiter(_PUTS_AT_ONCE)

    @router.put("/traces/{trace_id}", dependencies=collector)
    async def open_trace(trace_id: str, request: Request) -> JSONResponse:
        try:
            async with bodies.read(request, MAX_HEADER_BYTES) as text:
                header_json = parse_json(text)
        except BodyRefused as refusal:
            return _refused(refusal)
        except ValueError:
            return _answer(400, "bad_request", hint="the header is no JSON")
        return _opening(await run_sync(service.open_trace, trace_id, header_json))

    @router.put("/traces/{trace_id}/clips/{seq}", dependencies=collector)
    async def put_clip(
        trace_id: str, seq: str, request: Request, x_body_sha256: Annotated[str, Header()] = ""
    ) -> JSONResponse:
        try:
            async with bodies.read(request, MAX_BODY_BYTES) as body:
                put = partial(service.put_clip, trace_id, _number(seq), body, x_body_sha256)
                return _putting(await run_sync(put, limiter=puts))
        except BodyRefused as refusal:
            return _refused(refusal)

    @router.delete("/traces/{trace_id}", dependencies=collector)
    async def withdraw(trace_id: str) -> JSONResponse:
        if await run_sync(service.withdraw, trace_id):
            return _answer(200, "withdrawn")
        return _answer(404, "unknown_trace")


def _add_reading(router: APIRouter, service: IngestService, viewer: Sequence[Any]) -> None:
    @router.get("/traces/{trace_id}", dependencies=viewer)
    async def show_trace(trace_id: str) -> JSONResponse:
        return await _reading(_show_trace, service, trace_id)

    @router.get("/traces", dependencies=viewer)
    async def list_traces() -> JSONResponse:
        return await _reading(_list_traces, service)


async def _reading(read: Callable[..., JSONResponse], *arguments: Any) -> JSONResponse:
    """Answer from the index, in a thread; a failing disk is no reason for a traceback."""
    try:
        return await run_sync(read, *arguments)
    except (OSError, sqlite3.Error) as error:
        return _unavailable(unavailable(error))


def _number(text: str) -> int:
    """Return a clip's number, or -1, which none has, for what is no plain number."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else -1


def _opening(outcome: OpenOutcome) -> JSONResponse:
    match outcome:
        case Opened(header, new):
            return _answer(201 if new else 200, "opened", trace_id=header.trace_id)
        case Conflict(hint):
            return _answer(409, "conflict", hint=hint)
        case Withdrawn():
            return _answer(410, "withdrawn")
        case BadRequest(hint):
            return _answer(400, "bad_request", hint=hint)
        case Unavailable():
            return _unavailable(outcome)


def _putting(outcome: PutOutcome) -> JSONResponse:
    match outcome:
        case Accepted(row, warnings):
            return _answer(200, "accepted", row=row.to_json(), warnings=list(warnings))
        case Duplicate(row):
            return _answer(200, "duplicate", row=row.to_json())
        case Conflict(hint):
            return _answer(409, "conflict", hint=hint)
        case Quarantined(code, hint):
            return _answer(422, "quarantined", code=code, hint=hint)
        case HashMismatch(received_sha):
            return _answer(400, "hash_mismatch", hint=f"received {received_sha}")
        case UnknownTrace():
            return _answer(404, "unknown_trace", hint="open the trace first")
        case Withdrawn():
            return _answer(410, "withdrawn")
        case BadRequest(hint):
            return _answer(400, "bad_request", hint=hint)
        case Unavailable():
            return _unavailable(outcome)


def _show_trace(service: IngestService, trace_id: str) -> JSONResponse:
    index = service.store.index
    known = index.trace(trace_id)
    if known is None:
        return _answer(404, "unknown_trace")
    header, state = known
    present = index.present(trace_id)
    stored = set(present)
    missing = [seq for seq in range(max(present, default=-1)) if seq not in stored]
    return _answer(
        200, "trace", header=header.to_json(), state=state.value, present=present, missing=missing
    )


def _list_traces(service: IngestService) -> JSONResponse:
    index = service.store.index
    counts = [{**asdict(count), "state": count.state.value} for count in index.counts()]
    quarantined = [asdict(clip) for clip in index.quarantined()]
    return _answer(
        200,
        "traces",
        traces=[_summary(trace) for trace in index.traces()],
        counts=counts,
        quarantined=quarantined,
        last_commit=index.last_commit,
    )


def _summary(trace: TraceSummary) -> dict[str, Any]:
    return {
        "trace_id": trace.header.trace_id,
        "source": trace.header.source,
        "desktop": trace.header.desktop,
        "consent": trace.header.consent.value,
        "frame_source": trace.header.frame_source,
        "withdrawn": trace.state is ClipState.TOMBSTONED,
        "clips": trace.clips,
        "frames": trace.frames,
        "size_bytes": trace.size_bytes,
    }


def _commits(service: IngestService, after: int, limit: int) -> JSONResponse:
    index = service.store.index
    return _answer(
        200,
        "commits",
        rows=[row.to_json() for row in index.rows_after(after, limit)],
        last_commit=index.last_commit,
        withdrawn=index.tombstoned(),
    )


def _refused(refusal: BodyRefused) -> JSONResponse:
    return _answer(refusal.status, refusal.outcome, hint=refusal.hint)


def _unavailable(fault: Unavailable) -> JSONResponse:
    answer = _answer(503, fault.code, hint=fault.hint)
    answer.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return answer


def _answer(status: int, outcome: str, **fields: Any) -> JSONResponse:
    return JSONResponse({"outcome": outcome, **fields}, status_code=status)
