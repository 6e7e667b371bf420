"""The HTTP face of ingest: traces and clips in, what is there and what is new out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse

from data_collection.streaming import ingest_answers as answers
from data_collection.streaming.bodies import DEFAULT_LIMITS, Bodies, BodyLimits, BodyRefused
from data_collection.streaming.ingest import MAX_BODY_BYTES, IngestService, unavailable
from data_collection.strict_json import parse_json

MAX_HEADER_BYTES = 64 * 2**10
MAX_COMMITS = 1000
MAX_WAIT_S = 60.0
_POLL_S = 0.05
_PUTS_AT_ONCE = 16
"""How many clips are on their way through the workers to the disk, each in a thread."""

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Done, or what was asked for", "content": {"application/json": {}}},
    201: {"description": "The trace is open"},
    400: {"description": "It is no proper request"},
    401: {"description": "A token is needed"},
    403: {"description": "The role may not do this"},
    404: {"description": "There is no such trace"},
    408: {"description": "The body came too slowly"},
    409: {"description": "Something else stands under that name"},
    410: {"description": "It was withdrawn"},
    411: {"description": "The body's length is needed"},
    413: {"description": "The body is too large"},
    421: {"description": "The server is not known under that host name"},
    422: {"description": "It cannot be used, and was put aside"},
    429: {"description": "Too many requests"},
    503: {"description": "Not now: send it again"},
}
"""What any route of ingest may answer; the body is JSON and names its outcome."""

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
    router = APIRouter(responses=ANSWERS)
    _add_writing(router, service, [Depends(authorise("collector"))], Bodies(limits))
    _add_reading(router, service, [Depends(authorise("viewer"))])
    trainer = [Depends(authorise("trainer"))]

    @router.get("/commits", dependencies=trainer)
    async def commits(
        request: Request,
        after: Annotated[int, Query(ge=0, le=2**62)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_COMMITS)] = 100,
        wait_s: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0.0,
    ) -> JSONResponse:
        deadline_s = anyio.current_time() + wait_s
        while service.store.index.last_commit <= after and anyio.current_time() < deadline_s:
            if await request.is_disconnected():
                break
            await anyio.sleep(_POLL_S)
        return await _reading(answers.commits, service, after, limit)

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
            return answers.refused(refusal)
        except ValueError:
            return answers.answer(400, "bad_request", hint="the header is no JSON")
        return answers.opening(await run_sync(service.open_trace, trace_id, header_json))

    @router.put("/traces/{trace_id}/clips/{seq}", dependencies=collector)
    async def put_clip(
        trace_id: str, seq: str, request: Request, x_body_sha256: Annotated[str, Header()] = ""
    ) -> JSONResponse:
        try:
            async with bodies.read(request, MAX_BODY_BYTES) as body:
                put = partial(service.put_clip, trace_id, _number(seq), body, x_body_sha256)
                return answers.putting(await run_sync(put, limiter=puts))
        except BodyRefused as refusal:
            return answers.refused(refusal)

    @router.delete("/traces/{trace_id}", dependencies=collector)
    async def withdraw_trace(trace_id: str) -> JSONResponse:
        return answers.withdrawing(await run_sync(service.withdraw, trace_id))

    @router.delete("/traces/{trace_id}/clips", dependencies=collector)
    async def withdraw_clips(
        trace_id: str, first: str | None = None, last: str | None = None
    ) -> JSONResponse:
        # Neither given would be the whole trace, which has a route of its own.
        low = 0 if first is None else _number(first)
        high = None if last is None else _number(last)
        return answers.withdrawing(await run_sync(service.withdraw, trace_id, low, high))


def _add_reading(router: APIRouter, service: IngestService, viewer: Sequence[Any]) -> None:
    @router.get("/traces/{trace_id}", dependencies=viewer)
    async def show_trace(trace_id: str) -> JSONResponse:
        return await _reading(answers.show_trace, service, trace_id)

    @router.get("/traces", dependencies=viewer)
    async def list_traces() -> JSONResponse:
        return await _reading(answers.list_traces, service)


async def _reading(read: Callable[..., JSONResponse], *arguments: Any) -> JSONResponse:
    """Answer from the index, in a thread; a failing disk is no reason for a traceback."""
    try:
        return await run_sync(read, *arguments)
    except OSError as error:
        return answers.unavailable(unavailable(error))


def _number(text: str) -> int:
    """Return a clip's number, or -1, which none has, for what is no plain number."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else -1
