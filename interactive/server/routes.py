"""The control plane's HTTP face, under ``/api``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from interactive.commands import Envelope
from interactive.outcome import FINAL_STATES, Reason, Rejected
from interactive.policy import Hold, Role
from interactive.server import schema
from interactive.server.approval_routes import add_approvals
from interactive.server.auth import Auth, session_cookie
from interactive.server.checking import add_check
from interactive.server.events import Cursor, stream
from interactive.server.heartbeat import Heartbeat
from interactive.server.inbox import Request as CommandRequest
from interactive.server.service import RunService
from interactive.server.tokens import Principal
from interactive.server.wire import answer

MAX_POINTS = 4000
MAX_ENTRIES = 1000
MAX_STREAMS = 64
STATUS_OF = {Reason.ID_REUSED: 409, Reason.RATE_LIMITED: 429}
"""The status of a refused command; 422 otherwise."""

HOLDS_SECRET = Rejected(
    Reason.HOLDS_SECRET, "it holds a token of this run, and was not kept: take the token out"
)

Wait = Annotated[float, Query(ge=0, le=60)]
After = Annotated[int, Query(ge=0, le=2**62)]
Before = Annotated[int, Query(ge=-1, le=2**62)]


class PngResponse(Response):
    """A picture."""

    media_type = "image/png"


class EventsResponse(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


class Login(BaseModel):
    """What opens a session."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(min_length=8, max_length=200)]


def create_router(service: RunService, auth: Auth, clock: Callable[[], float]) -> APIRouter:
    """Return the control plane's routes; the service follows its files while the app runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.tailing():
            yield

    router = APIRouter(prefix="/api", lifespan=lifespan, responses=schema.PROBLEMS)
    _add_sessions(router, auth)
    _add_commands(router, service, auth)
    add_approvals(router, service, auth)
    add_check(router, service, auth)
    _add_trainer(router, service, auth)
    _add_reads(router, service, auth)
    _add_events(router, service, auth, clock)
    _add_schema(router, auth)
    return router


def _add_sessions(router: APIRouter, auth: Auth) -> None:
    operator = Depends(auth.authorise(Role.OPERATOR))

    @router.post("/login", status_code=204, response_class=Response)
    async def login(body: Login, request: Request) -> Response:
        """Open a browser session with a one-time secret or a token."""
        auth.check_stranger(request)
        value = auth.open_session(body.token)
        if value is None:
            raise HTTPException(401, "unknown, or used before: ask for a new address")
        response = Response(status_code=204)
        response.set_cookie(**session_cookie(auth, value))
        return response

    @router.post("/login/secret", response_model=schema.Secret)
    async def login_secret(who: Principal = operator) -> Response:
        """Make a one-time secret that opens a session with the sender's rights."""
        return answer({"secret": auth.mint_one_time(who.role)})


def _add_commands(router: APIRouter, service: RunService, auth: Auth) -> None:
    viewer, agent = Depends(auth.authorise(Role.VIEWER)), Depends(auth.authorise(Role.AGENT))

    @router.post(
        "/commands",
        status_code=202,
        response_model=schema.Accepted,
        responses=schema.REFUSALS,
        openapi_extra=schema.TAKES_ENVELOPE,
    )
    async def send(request: Request, who: Principal = agent) -> Response:
        """Take a command; it is on disk when this answers."""
        body = await request.body()
        if auth.holds_secret(body):
            return _refused(HOLDS_SECRET)

        def judge(envelope: Envelope) -> Rejected | Hold | None:
            return service.judge.verdict(envelope, who)

        is_agent = who.role is Role.AGENT
        got = await run_in_threadpool(
            service.inbox.receive, body, who.issuer, judge, is_agent=is_agent
        )
        if isinstance(got, Rejected):
            return _refused(got)
        service.changed.fire()
        return answer({"command_id": got.command_id, "seq": got.seq, "state": got.state.value}, 202)

    @router.get(
        "/commands/{command_id}",
        dependencies=[viewer],
        response_model=schema.Known,
        responses=schema.UNKNOWN,
    )
    async def outcome(command_id: UUID, wait_s: Wait = 0.0) -> Response:
        """Say what became of a command; with ``wait_s`` wait for a final state."""
        name = str(command_id)
        first = await run_in_threadpool(service.answer, name)
        if first is None:
            raise HTTPException(404, "no command has this id")
        if first["state"] not in FINAL_STATES and wait_s > 0:
            await service.changed.until(lambda: service.is_final(name) or None, wait_s)
            first = await run_in_threadpool(service.answer, name)
        return answer(first)


def _add_trainer(router: APIRouter, service: RunService, auth: Auth) -> None:
    trainer = Depends(auth.authorise(Role.TRAINER))

    @router.get("/commands", dependencies=[trainer], response_model=schema.Deliveries)
    async def commands(after: After = 0, wait_s: Wait = 0.0) -> Response:
        """Return the accepted commands after ``after``; with ``wait_s`` wait for one."""
        inbox = service.inbox
        await service.changed.until(lambda: inbox.head > after or None, wait_s)
        requests = await run_in_threadpool(inbox.after, after)
        head = requests[-1].seq if requests else inbox.head
        return answer({"commands": [_request(one) for one in requests], "head": head})

    @router.post("/heartbeat", dependencies=[trainer], status_code=204, response_class=Response)
    async def heartbeat(body: Heartbeat) -> Response:
        """Take the trainer's word on how the run stands."""
        service.hear(body)
        return Response(status_code=204)


def _add_reads(router: APIRouter, service: RunService, auth: Auth) -> None:
    viewer = Depends(auth.authorise(Role.VIEWER))

    @router.get("/status", dependencies=[viewer], response_model=schema.Standing)
    async def status() -> Response:
        """Say how the run stands."""
        return answer(service.status())

    @router.get(
        "/progress",
        dependencies=[Depends(auth.authorise(Role.COLLECTOR))],
        response_model=schema.Progress,
    )
    async def progress() -> Response:
        """Say how far the training is: what a window that feeds it may show."""
        status = service.status()
        return answer({key: status[key] for key in ("state", "branch", "step")})

    @router.get("/ledger", dependencies=[viewer], response_model=schema.LedgerPage)
    async def ledger(
        after: Before = -1,
        limit: Annotated[int, Query(ge=1, le=MAX_ENTRIES)] = MAX_ENTRIES,
        newest: bool = False,
    ) -> Response:
        """Return entries with a seq above ``after``: the first ones, or the ``newest``."""
        entries = service.run.entries
        found = entries[after + 1 :]
        chosen = found[-limit:] if newest else found[:limit]
        return answer({"entries": [one.to_json() for one in chosen], "head": len(entries) - 1})

    @router.get("/metrics", dependencies=[viewer], response_model=schema.Curve)
    async def metrics(
        branch: Annotated[str | None, Query(max_length=100)] = None,
        field: Annotated[str, Query(max_length=100)] = "loss",
        max_points: Annotated[int, Query(ge=8, le=MAX_POINTS)] = 1000,
        last: Annotated[int | None, Query(ge=1, le=2**31)] = None,
    ) -> Response:
        """Return a field over the steps of a branch, thinned without losing an extreme."""
        series, where = service.run.series, branch or service.run.branch
        points, count = await run_in_threadpool(series.thinned, where, field, max_points, last)
        shown = {
            "branch": where,
            "field": field,
            "steps": [point.step for point in points],
            "values": [point.value for point in points],
            "count": count,
            "fields": series.fields(where),
        }
        return answer(shown)

    @router.get("/rollouts", dependencies=[viewer], response_model=schema.PictureNames)
    async def rollouts() -> Response:
        """Return the names of the rollouts' pictures, oldest first."""
        pictures = await run_in_threadpool(service.pictures.list, service.run.entries)
        return answer({"rollouts": [asdict(picture) for picture in pictures]})

    @router.get(
        "/rollouts/{name}",
        dependencies=[viewer],
        response_class=PngResponse,
        responses=schema.UNKNOWN,
    )
    async def rollout(name: str) -> Response:
        """Return a picture by its listed name."""
        picture = await run_in_threadpool(service.pictures.read, name)
        if picture is None:
            raise HTTPException(404, "no rollout has this name")
        return PngResponse(picture)


def _add_schema(router: APIRouter, auth: Auth) -> None:
    viewer = Depends(auth.authorise(Role.VIEWER))

    @router.get("/openapi.json", dependencies=[viewer], response_model=schema.Json)
    async def document(request: Request) -> Response:
        """Return what this server offers, as OpenAPI."""
        return answer(schema.describe(request.app))


def _add_events(
    router: APIRouter, service: RunService, auth: Auth, clock: Callable[[], float]
) -> None:
    viewer = Depends(auth.authorise(Role.VIEWER))
    open_streams = 0

    @router.get(
        "/events",
        dependencies=[viewer],
        response_class=EventsResponse,
        responses={503: {"model": schema.Problem, "description": "Too many streams"}},
    )
    async def events(
        after: Annotated[str, Query(max_length=40)] = "",
        last_event_id: Annotated[str, Header(max_length=40)] = "",
    ) -> Response:
        """Stream what happens from now on, or after the last event seen."""
        if open_streams >= MAX_STREAMS:
            raise HTTPException(503, "too many event streams are open")

        async def counted() -> AsyncIterator[str]:
            nonlocal open_streams
            open_streams += 1
            try:
                async for event in stream(service, Cursor.parse(last_event_id or after), clock):
                    yield event
            finally:
                open_streams -= 1

        headers = {"X-Accel-Buffering": "no"}
        return EventsResponse(counted(), headers=headers)


def _refused(why: Rejected) -> Response:
    refusal = {"state": "rejected", "code": why.code.value, "hint": why.hint}
    return answer(refusal, STATUS_OF.get(why.code, 422))


def _request(request: CommandRequest) -> dict[str, Any]:
    shown = {
        "seq": request.seq,
        "issuer": {"name": request.issuer.name, "kind": request.issuer.kind.value},
        "envelope": request.envelope.model_dump(mode="json", exclude_none=True),
    }
    if request.approved_by is not None:
        shown["approved_by"] = request.approved_by.to_json()
    return shown
