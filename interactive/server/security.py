"""What every request passes before any route sees it: host, origin, size; and the headers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interactive.outcome import Reason

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CONTROL_BODY_BYTES = 64 * 1024
BODY_S = 20.0
"""How long a body of the control plane may take; a longer wait is not for the body."""
STALL_S = 30.0
"""How long a client may read nothing of what it is sent; then its connection is closed."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Stalled(Exception):
    """A client has stopped reading."""


@dataclass(frozen=True)
class Limits:
    """What requests are let through.

    Args:
        hosts: host names, without port, under which the server may be addressed. Another
            name in the Host header means DNS rebinding.
        body_bytes: the largest body by path prefix; the longest prefix counts.
    """

    hosts: Collection[str] = LOOPBACK_HOSTS
    body_bytes: Mapping[str, int] = field(default_factory=lambda: {"/": CONTROL_BODY_BYTES})

    def cap(self, path: str) -> int:
        """Return the largest body accepted at a path, in bytes."""
        fitting = [prefix for prefix in self.body_bytes if path.startswith(prefix)]
        return self.body_bytes[max(fitting, key=len)] if fitting else 0


def protect(app: FastAPI, limits: Limits) -> None:
    """Add the checks and the headers to an application; its errors repeat no input."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _not_served)
    app.add_middleware(Guard, limits=limits)


async def _invalid(request: Request, error: Exception) -> Response:
    """Say what is wrong with a request, and nothing of what was sent: it may be a secret."""
    assert isinstance(error, RequestValidationError)
    shown = []
    for one in error.errors():
        # The name of a field that nobody knows is input, too.
        place = one["loc"][:1] if one["type"] == "extra_forbidden" else one["loc"]
        shown.append({"type": one["type"], "loc": place, "msg": one["msg"]})
    hint = "; ".join(one["msg"] for one in shown[:3])
    return JSONResponse({"detail": shown, "code": Reason.MALFORMED.value, "hint": hint}, 422)


async def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, error.detail, error.headers)


def _problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a refusal of a request, with a code and a hint as those of commands have."""
    if status in (204, 304):
        return Response(status_code=status, headers=headers)
    code = HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")
    return JSONResponse({"detail": detail, "code": code, "hint": detail}, status, headers)


class Guard:
    """The checks, as ASGI middleware; responses are streamed through untouched."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        with contextlib.suppress(Stalled):
            await self._app(scope, self._capped(scope, receive), _with_headers(scope, send))

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _hostname(hosts[0]) not in self._limits.hosts:
            return 421, "this server is not known under that host name"
        acts = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if acts and not _same_origin(headers, hosts[0]):
            return 403, "requests from other origins may not act here"
        if scope["type"] == "http":
            length = headers.get("content-length", "0")
            cap = self._limits.cap(scope["path"])
            if not length.isdecimal() or len(length) > 12 or int(length) > cap:
                return 413, f"the body is over {cap} bytes"
        return None

    def _capped(self, scope: Scope, receive: Receive) -> Receive:
        """Count what a request without a length really sends."""
        cap = self._limits.cap(scope["path"])
        size_bytes = 0

        is_control = cap <= CONTROL_BODY_BYTES
        is_whole, until_s = False, asyncio.get_running_loop().time() + BODY_S

        async def capped() -> Message:
            nonlocal size_bytes, is_whole
            try:
                async with asyncio.timeout_at(until_s if is_control and not is_whole else None):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"the body took over {BODY_S:g} s") from None
            is_whole = is_whole or not message.get("more_body", False)
            size_bytes += len(message.get("body", b""))
            if size_bytes > cap:
                raise HTTPException(413, f"the body is over {cap} bytes")
            return message

        return capped


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _same_origin(headers: Headers, host: str) -> bool:
    """Return whether a request comes from this server's own page, or from no page at all.

    A browser says the origin of each request that acts; other clients carry a token,
    and no cookie.
    """
    origin = headers.get("origin")
    if origin is None:
        return "cookie" not in headers
    return origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, detail: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": detail})
        return
    response = _problem(status, detail)
    await response(scope, receive, _with_headers(scope, send))


def _with_headers(scope: Scope, send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if scope["path"].startswith("/api"):
                headers.setdefault("Cache-Control", "no-store")
        try:
            async with asyncio.timeout(STALL_S):
                await send(message)
        except TimeoutError:
            raise Stalled from None

    return wrapped
