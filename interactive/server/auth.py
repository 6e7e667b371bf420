"""Tokens, roles and the browser's session: who is asking, and may they?"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from threading import Lock
from typing import Any

from fastapi import HTTPException, Request

from interactive.outcome import Reason, Rejected
from interactive.policy import GRANTS, Role
from interactive.server.named_tokens import NamedTokens
from interactive.server.pace import KNOWN, STRANGER, Pace
from interactive.server.tokens import Principal, Tokens, draw_secret, principal_of, sign

SESSION_S = 7 * 24 * 3600.0
TOO_FAST = "too many requests: slow down"


def check_bind(host: str, allow_remote: bool) -> Rejected | None:
    """Return why a server may not listen on ``host``, or None where it may.

    Only loopback is open without ``allow_remote``: everyone who reaches the port can try
    tokens, and the link is not encrypted.
    """
    if allow_remote or is_loopback(host):
        return None
    hint = f"{host} is reachable by other machines; say so explicitly to serve there"
    return Rejected(Reason.FORBIDDEN, hint)


def is_loopback(host: str) -> bool:
    """Return whether an address is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Auth:
    """Tells who sends a request, by bearer token or by the browser's session cookie.

    Sessions are signed, not stored: they outlive a restart of the server.

    Args:
        tokens: the run's tokens.
        wall_clock: seconds since the epoch.
        draw: makes the secret of a one-time URL.
        known: how fast the bearer of each token may send; the trainer has no limit.
        strangers: how fast each address without a valid token may.
        named: the tokens of agents that have a name.
    """

    def __init__(
        self,
        tokens: Tokens,
        wall_clock: Callable[[], float],
        draw: Callable[[], str] = draw_secret,
        known: Pace | None = None,
        strangers: Pace | None = None,
        named: NamedTokens | None = None,
    ) -> None:
        self._tokens = tokens
        self._named = named
        self._wall_clock = wall_clock
        self._draw = draw
        self._one_time: dict[str, Role] = {}
        self._lock = Lock()
        self._known = known or Pace(KNOWN)
        self._strangers = strangers or Pace(STRANGER)
        # Browsers share cookies between the ports of a host: two runs need two names.
        self.cookie = "run_" + sign(tokens.session_key, "cookie name")[:12]

    def authorise(self, role: Role | str) -> Callable[[Request], Awaitable[Principal]]:
        """Return a FastAPI dependency: the sender, who must have ``role``.

        It answers 401 to strangers, 403 to those who may not, and 429 to those too fast.
        """
        needed = Role(role)

        async def bearer(request: Request) -> Principal:
            principal = self.identify(request)
            if principal is None:
                self.check_stranger(request)
                raise HTTPException(401, "a token is needed", {"WWW-Authenticate": "Bearer"})
            if needed not in GRANTS[principal.role]:
                have = principal.role.value
                raise HTTPException(403, f"{have} may not do this: it needs {needed.value}")
            is_trainer = principal.role is Role.TRAINER
            if not is_trainer and not self._known.allows(principal.role.value):
                raise HTTPException(429, TOO_FAST, {"Retry-After": "1"})
            return principal

        return bearer

    def check_stranger(self, request: Request) -> None:
        """Answer 429 to an address that tries too often without a valid token."""
        if not self._strangers.allows(request.client.host if request.client else ""):
            raise HTTPException(429, TOO_FAST, {"Retry-After": "1"})

    def holds_secret(self, text: bytes) -> bool:
        """Return whether a text holds a token of this run: it must not be written anywhere."""
        secrets = [*self._tokens.secret_of.values()]
        secrets += [token.secret for token in self._named.all()] if self._named else []
        return any(secret.encode() in text for secret in secrets)

    def identify(self, request: Request) -> Principal | None:
        """Return who sends a request, or None."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            role = self._role_of(secret.strip())
            if role is None and self._named is not None:
                return self._named.find(secret.strip())
        else:
            role = self._role_of_session(request.cookies.get(self.cookie, ""))
        return None if role is None else principal_of(role)

    def mint_one_time(self, role: Role) -> str:
        """Return a secret that opens one browser session with a role's rights."""
        secret = self._draw()
        with self._lock:
            self._one_time[_digest(secret)] = role
        return secret

    def one_time_url(self, url: str, role: Role = Role.OPERATOR) -> str:
        """Return the dashboard's address with a one-time secret.

        It stands in the fragment, which browsers send to nobody: no log can hold it.
        """
        return f"{url.rstrip('/')}/#login={self.mint_one_time(role)}"

    def open_session(self, secret: str) -> str | None:
        """Return a session cookie for a one-time secret (once) or a token, or None."""
        with self._lock:
            role = self._one_time.pop(_digest(secret), None)
        role = role or self._role_of(secret)
        if role is None:
            return None
        said = f"{role.value}.{int(self._wall_clock() + SESSION_S)}"
        return f"{said}.{sign(self._tokens.session_key, said)}"

    def _role_of(self, secret: str) -> Role | None:
        digest, found = _digest(secret), None
        for role, token in self._tokens.secret_of.items():
            if hmac.compare_digest(_digest(token), digest):
                found = role
        return found

    def _role_of_session(self, cookie: str) -> Role | None:
        said, _, signature = cookie.rpartition(".")
        expected = sign(self._tokens.session_key, said)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return None
        role, _, expires_s = said.partition(".")
        return Role(role) if self._wall_clock() < float(expires_s) else None


def session_cookie(auth: Auth, value: str) -> dict[str, Any]:
    """Return the arguments of ``Response.set_cookie`` for a session."""
    return {
        "key": auth.cookie,
        "value": value,
        "max_age": int(SESSION_S),
        "path": "/",
        "httponly": True,
        "samesite": "strict",
    }


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
