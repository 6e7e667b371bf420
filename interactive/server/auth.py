"""Tokens, roles and the browser's session: who is asking, and may they?"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from fastapi import HTTPException, Request

from interactive.outcome import Issuer, IssuerKind, Reason, Rejected
from interactive.policy import GRANTS, Role
from interactive.run_folder import RunFolder

SESSION_S = 7 * 24 * 3600.0

ISSUERS: dict[Role, tuple[str, IssuerKind]] = {
    Role.VIEWER: ("viewer", IssuerKind.PERSON),
    Role.OPERATOR: ("operator", IssuerKind.PERSON),
    Role.AGENT: ("agent", IssuerKind.SCRIPT),
    Role.ADMIN: ("admin", IssuerKind.PERSON),
    Role.COLLECTOR: ("collector", IssuerKind.SCRIPT),
    Role.TRAINER: ("trainer", IssuerKind.SCRIPT),
}
"""The name and kind that a role's token stands for."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The bearer of a token."""

    issuer: Issuer
    role: Role


class Tokens:
    """The secrets of a run, one a role."""

    def __init__(self, secret_of: Mapping[Role, str]) -> None:
        self.secret_of = dict(secret_of)

    @property
    def session_key(self) -> str:
        """Return the key that signs sessions: whoever has it has the admin's token anyway."""
        return _sign(self.secret_of[Role.ADMIN], "sessions")


def draw_secret() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


def create_tokens(folder: RunFolder, draw: Callable[[], str] = draw_secret) -> Tokens:
    """Return the run's tokens; those that its file (of mode 0600) lacks are made."""
    known = {role: folder.read_token(role.value) for role in Role}
    tokens = Tokens({role: secret or draw() for role, secret in known.items()})
    if tokens.secret_of != known:
        rows = [
            {"role": role.value, "name": name, "kind": kind.value, "token": tokens.secret_of[role]}
            for role, (name, kind) in ISSUERS.items()
        ]
        _write_private(folder.tokens, json.dumps({"tokens": rows}, indent=1) + "\n")
    return tokens


def read_token(path: Path, role: Role) -> str:
    """Return a role's secret from a token file, or the text of a file that is one bare token.

    Raises:
        KeyError: the file has no token for the role.
    """
    text = path.read_text("utf-8").strip()
    if not text.startswith("{"):
        return text
    return {row["role"]: str(row["token"]) for row in json.loads(text)["tokens"]}[role.value]


def _write_private(path: Path, text: str) -> None:
    """Replace a file by one that was never readable by others."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def principal_of(role: Role) -> Principal:
    """Return whom a role's token stands for."""
    return Principal(Issuer(*ISSUERS[role]), role)


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
        self._one_time: dict[str, Role] = {}
        self._lock = Lock()
        # Browsers share cookies between the ports of a host: two runs need two names.
        self.cookie = "run_" + _sign(tokens.session_key, "cookie name")[:12]

    def authorise(self, role: Role | str) -> Callable[[Request], Awaitable[Principal]]:
        """Return a FastAPI dependency: the sender, who must have ``role``.

        It answers 401 to strangers, and 403 to those who may not.
        """
        needed = Role(role)

        async def bearer(request: Request) -> Principal:
            principal = self.identify(request)
            if principal is None:
                raise HTTPException(401, "a token is needed", {"WWW-Authenticate": "Bearer"})
            if needed not in GRANTS[principal.role]:
                have = principal.role.value
                raise HTTPException(403, f"{have} may not do this: it needs {needed.value}")
            return principal

        return bearer

    def identify(self, request: Request) -> Principal | None:
        """Return who sends a request, or None."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            role = self._role_of(secret.strip())
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
        return f"{said}.{_sign(self._tokens.session_key, said)}"

    def _role_of(self, secret: str) -> Role | None:
        digest, found = _digest(secret), None
        for role, token in self._tokens.secret_of.items():
            if hmac.compare_digest(_digest(token), digest):
                found = role
        return found

    def _role_of_session(self, cookie: str) -> Role | None:
        said, _, signature = cookie.rpartition(".")
        expected = _sign(self._tokens.session_key, said)
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


def _sign(key: str, said: str) -> str:
    return hmac.new(key.encode(), said.encode(), hashlib.sha256).hexdigest()
