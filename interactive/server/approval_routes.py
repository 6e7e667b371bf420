"""What people decide: held commands approved or vetoed, agents halted or allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from interactive.outcome import Issuer, Rejected
from interactive.policy import Role
from interactive.server import schema
from interactive.server.auth import Auth
from interactive.server.held import Held
from interactive.server.inbox import Receipt
from interactive.server.service import RunService
from interactive.server.tokens import Principal
from interactive.server.wire import answer

MAX_DECIDED = 1000

Decide = Callable[[str, Issuer, str], Held | Rejected | None]


class Why(BaseModel):
    """What a person says about a decision."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Annotated[str, Field(max_length=2000)] = ""


def add_approvals(router: APIRouter, service: RunService, auth: Auth) -> None:
    """Add the routes by which people say yes or no to commands, and stop agents."""
    operator = Depends(auth.authorise(Role.OPERATOR))
    viewer = Depends(auth.authorise(Role.VIEWER))

    decision: dict[str, Any] = {
        "response_model": schema.DecidedCommand,
        "responses": schema.UNKNOWN | {409: {"model": schema.Refusal, "description": "Too late"}},
    }

    async def decide(say: Decide, command_id: UUID, why: Why, who: Principal) -> Response:
        _check(auth, why)
        decided = await run_in_threadpool(say, str(command_id), who.issuer, why.reason)
        if decided is None:
            raise HTTPException(404, "no command with this id needs approval")
        if isinstance(decided, Rejected):
            refusal = {"state": "rejected", "code": decided.code.value, "hint": decided.hint}
            return answer(refusal, 409)
        service.changed.fire()
        found = await run_in_threadpool(service.inbox.find, str(command_id))
        seq = found.seq if isinstance(found, Receipt) else None
        return answer({**_shown(decided), "seq": seq})

    @router.post("/commands/{command_id}/approve", **decision)
    async def approve(command_id: UUID, why: Why, who: Principal = operator) -> Response:
        """Let a held command through; the ledger will say who did, and why."""
        return await decide(service.inbox.approve, command_id, why, who)

    @router.post("/commands/{command_id}/veto", **decision)
    async def veto(command_id: UUID, why: Why, who: Principal = operator) -> Response:
        """Refuse a held command for good."""
        return await decide(service.inbox.veto, command_id, why, who)

    @router.get("/approvals", dependencies=[viewer], response_model=schema.HeldList)
    async def approvals(
        decided: Annotated[int, Query(ge=0, le=MAX_DECIDED)] = 0,
    ) -> Response:
        """Return the commands that wait for a decision, and the newest decided ones."""
        found = await run_in_threadpool(service.inbox.approvals, decided)
        return answer({"approvals": [_shown(one) for one in found]})

    _add_agents(router, service, auth)


def _check(auth: Auth, why: Why) -> None:
    if auth.holds_secret(why.reason.encode("utf-8", "surrogatepass")):
        raise HTTPException(422, "the reason holds a token of this run: take it out")


def _add_agents(router: APIRouter, service: RunService, auth: Auth) -> None:
    operator = Depends(auth.authorise(Role.OPERATOR))
    viewer = Depends(auth.authorise(Role.VIEWER))

    @router.get("/agents", dependencies=[viewer], response_model=schema.AgentsStanding)
    async def agents() -> Response:
        """Say whether agents may send commands, and who halted them."""
        return answer(await run_in_threadpool(_standing, service))

    @router.post("/agents/halt", response_model=schema.AgentsStanding)
    async def halt(why: Why, who: Principal = operator) -> Response:
        """Refuse what agents send from here on, and hold back what waits of theirs."""
        _check(auth, why)
        await run_in_threadpool(service.inbox.halt_agents, who.issuer, why.reason)
        return answer(await run_in_threadpool(_standing, service))

    @router.post("/agents/allow", dependencies=[operator], response_model=schema.AgentsStanding)
    async def allow() -> Response:
        """Let agents send again."""
        await run_in_threadpool(service.inbox.allow_agents)
        return answer(await run_in_threadpool(_standing, service))


def _standing(service: RunService) -> dict[str, Any]:
    halt = service.inbox.halt()
    if halt is None:
        return {"halted": False, "by": None, "at_s": None, "reason": None}
    return {"halted": True, "by": halt.by, "at_s": halt.at_s, "reason": halt.reason}


def _shown(one: Held) -> dict[str, Any]:
    envelope = one.envelope.model_dump(mode="json", exclude_none=True)
    return {
        "command_id": one.command_id,
        "state": one.state.value,
        "issuer": {"name": one.issuer.name, "kind": one.issuer.kind.value},
        "command": envelope["command"],
        "reason": one.envelope.reason,
        "received_s": one.received_s,
        "releases_s": one.releases_s,
        "decision": one.decision.to_json() if one.decision else None,
    }
