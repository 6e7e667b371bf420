"""Tokens, roles and the browser's session: who is asking, and may they?"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from fastapi import HTTPException, Request

from interactive.outcome import Issuer, IssuerKind, Reason, Rejected
from interactive.policy import GRANTS, Role

FORMAT = 1
SESSION_S = 7 * 24 * 3600.0

ISSUERS: dict[Role, tuple[str, IssuerKind]] = {
    Role.VIEWER: ("viewer", IssuerKind.PERSON),
    Role.OPERATOR: ("operator", IssuerKind.PERSON),
    Role.AGENT: ("agent", IssuerKind.SCRIPT),
    Role.ADMIN: ("admin", IssuerKind.PERSON),
    Role.COLLECTOR: ("collector", IssuerKind.SCRIPT),
    Role.TRAINER: ("trainer", IssuerKind.SCRIPT),
}
"""The name and kind that a role's first token stands for."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The bearer of a token."""

    issuer: Issuer
    role: Role


@dataclass(frozen=True, slots=True)
class Token:
    """A secret and whom it stands for."""

    secret: str
    principal: Principal

    def __repr__(self) -> str:
        """Show whom it stands for, and never the secret."""
        return f"Token({self.principal!r})"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a run's token file holds: one token a role, and the key that signs sessions."""

    tokens: tuple[Token, ...]
    session_key: str

    def __repr__(self) -> str:
        """Show whom the tokens stand for, and never a secret."""
        return f"Tokens({self.tokens!r})"

    def of(self, role: Role) -> str:
        """Return the secret of a role.

        Raises:
            KeyError: the file has no token for it.
        """
        for token in self.tokens:
            if token.principal.role is role:
                return token.secret
        raise KeyError(f"no token for the role {role.value}")


def draw_secret() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


def create_tokens(path: Path, draw: Callable[[], str] = draw_secret) -> Tokens:
    """Write a token file, readable by its owner only, or load the one that is there."""
    if path.exists():
        return load_tokens(path)
    tokens = tuple(Token(draw(), Principal(Issuer(*who), role)) for role, who in ISSUERS.items())
    made = Tokens(tokens, draw())
    rows = [
        {
            "role": token.principal.role.value,
            "name": token.principal.issuer.name,
            "kind": token.principal.issuer.kind.value,
            "token": token.secret,
        }
        for token in tokens
    ]
    text = json.dumps({"format": FORMAT, "tokens": rows, "session_key": made.session_key}, indent=1)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    return made


def load_tokens(path: Path) -> Tokens:
    """Read a token file.

    Raises:
        ValueError: it is not one, or of another format.
    """
    obj = json.loads(path.read_text())
    if not isinstance(obj, dict) or obj.get("format") != FORMAT:
        raise ValueError(f"{path} is not a token file of format {FORMAT}")
    tokens = tuple(
        Token(
            row["token"],
            Principal(Issuer(row["name"], IssuerKind(row["kind"])), Role(row["role"])),
        )
        for row in obj["tokens"]
    )
    return Tokens(tokens, obj["session_key"])


def read_token(path: Path, role: Role) -> str:
    """Return a role's secret from a token file, or the text of a file that is one bare token."""
    text = path.read_text().strip()
    return load_tokens(path).of(role) if text.startswith("{") else text


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
    """

    def __init__(
        self,
        tokens: Tokens,
        wall_clock: Callable[[], float],
        draw: Callable[[], str] = draw_secret,
    ) -> None:
        self._tokens = tokens
        self._wall_clock = wall_clock
        self._draw = draw
        self._one_time: dict[str, Principal] = {}
        self._lock = Lock()
        # Browsers share cookies between the ports of a host: two runs need two names.
        self.cookie = "run_" + _sign(tokens.session_key, "cookie name")[:12]

    def authorise(self, role: Role | str) -> Callable[[Request], Awaitable[Principal]]:
        """Return a FastAPI dependency: the sender, who must have ``role``.

        It answers 401 to strangers, and 403 to those who may not.
        """
        needed = Role(role)

        async def principal_of(request: Request) -> Principal:
            principal = self.identify(request)
            if principal is None:
                raise HTTPException(401, "a token is needed", {"WWW-Authenticate": "Bearer"})
            if needed not in GRANTS[principal.role]:
                have = principal.role.value
                raise HTTPException(403, f"{have} may not do this: it needs {needed.value}")
            return principal

        return principal_of

    def identify(self, request: Request) -> Principal | None:
        """Return who sends a request, or None."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._bearer(secret.strip())
        return self._session(request.cookies.get(self.cookie, ""))

    def mint_one_time(self, role: Role) -> str:
        """Return a secret that opens one browser session with a role's rights."""
        secret = self._draw()
        principal = Principal(Issuer(*ISSUERS[role]), role)
        with self._lock:
            self._one_time[_digest(secret)] = principal
        return secret

    def one_time_url(self, url: str, role: Role = Role.OPERATOR) -> str:
        """Return the dashboard's address with a one-time secret.

        It stands in the fragment, which browsers send to nobody: no log can hold it.
        """
        return f"{url.rstrip('/')}/#login={self.mint_one_time(role)}"

    def open_session(self, secret: str) -> str | None:
        """Return a session cookie for a one-time secret (once) or a token, or None."""
        with self._lock:
            principal = self._one_time.pop(_digest(secret), None)
        principal = principal or self._bearer(secret)
        if principal is None:
            return None
        said = f"{principal.role.value}.{int(self._wall_clock() + SESSION_S)}"
        return f"{said}.{_sign(self._tokens.session_key, said)}"

    def _bearer(self, secret: str) -> Principal | None:
        digest, found = _digest(secret), None
        for token in self._tokens.tokens:
            if hmac.compare_digest(_digest(token.secret), digest):
                found = token.principal
        return found

    def _session(self, cookie: str) -> Principal | None:
        said, _, signature = cookie.rpartition(".")
        expected = _sign(self._tokens.session_key, said)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return None
        role_name, _, expires_s = said.partition(".")
        if float(expires_s) < self._wall_clock():
            return None
        role = Role(role_name)
        return Principal(Issuer(*ISSUERS[role]), role)


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


def _sign(key: str, said: str) -> str:
    return hmac.new(key.encode(), said.encode(), hashlib.sha256).hexdigest()
