"""A command judged without being sent: what the policy would say of it now."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from interactive.outcome import Rejected
from interactive.policy import Hold, Role
from interactive.server.auth import Auth
from interactive.server.envelopes import parse
from interactive.server.service import RunService
from interactive.server.tokens import Principal
from interactive.server.wire import answer


def add_check(router: APIRouter, service: RunService, auth: Auth) -> None:
    """Add the route; it keeps nothing, and its answer promises nothing about later."""
    agent = Depends(auth.authorise(Role.AGENT))

    def check(body: bytes, who: Principal) -> dict[str, Any]:
        parsed = parse(body)
        if not isinstance(parsed, Rejected):
            verdict = service.judge.preview(parsed, who)
            if verdict is None:
                return {"verdict": "acceptable", "issuer": who.issuer.name}
            if isinstance(verdict, Hold):
                held = {"verdict": "needs_approval", "window_s": verdict.window_s}
                return {**held, "issuer": who.issuer.name}
            parsed = verdict
        return {"verdict": "refused", "code": parsed.code.value, "hint": parsed.hint}

    @router.post("/commands/check")
    async def preview(request: Request, who: Principal = agent) -> Response:
        """Say what would be answered to a command, without taking it."""
        return answer(await run_in_threadpool(check, await request.body(), who))
