"""Tokens: one secret a role, in a file that its owner alone may read."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from interactive.outcome import Issuer, IssuerKind
from interactive.policy import Role
from interactive.record.durable import write_whole
from interactive.record.run_folder import RunFolder

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
        return sign(self.secret_of[Role.ADMIN], "sessions")


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
        write_whole(folder.tokens, json.dumps({"tokens": rows}, indent=1) + "\n", mode=0o600)
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


def principal_of(role: Role) -> Principal:
    """Return whom a role's token stands for."""
    return Principal(Issuer(*ISSUERS[role]), role)


def sign(key: str, said: str) -> str:
    """Return the signature of a text under a key."""
    return hmac.new(key.encode(), said.encode(), hashlib.sha256).hexdigest()
