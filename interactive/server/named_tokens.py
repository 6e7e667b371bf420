"""Tokens of agents that have a name: the ledger says who steered, not only that one did."""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from interactive.commands import Name
from interactive.outcome import Issuer, IssuerKind, Reason, Rejected
from interactive.policy import Role
from interactive.record.durable import write_whole
from interactive.server.tokens import ISSUERS, Principal, draw_secret

_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True)
class NamedToken:
    """A token with the name and the kind of its bearer; its role is the agent's."""

    name: str
    kind: IssuerKind
    secret: str

    @property
    def principal(self) -> Principal:
        """Return whom the token stands for."""
        return Principal(Issuer(self.name, self.kind), Role.AGENT)


class NamedTokens:
    """The named tokens of a run, in a file (of mode 0600) that may grow while a server runs.

    Args:
        path: the file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: tuple[int, int] | None = None
        self._tokens: tuple[NamedToken, ...] = ()

    def all(self) -> tuple[NamedToken, ...]:
        """Return the tokens as the file holds them now."""
        try:
            found = os.stat(self._path)
        except OSError:
            return ()
        version = (found.st_mtime_ns, found.st_ino)
        if version != self._read_at:
            self._tokens, self._read_at = _read(self._path), version
        return self._tokens

    def find(self, secret: str) -> Principal | None:
        """Return the bearer of a token, or None."""
        given, found = secret.encode(), None
        for token in self.all():
            if hmac.compare_digest(token.secret.encode(), given):
                found = token.principal
        return found

    def named(self, name: str) -> NamedToken | None:
        """Return the token of a name, or None."""
        return next((token for token in self.all() if token.name == name), None)

    def mint(
        self, name: str, kind: IssuerKind, draw: Callable[[], str] = draw_secret
    ) -> NamedToken | Rejected:
        """Return a new token, written down; a name has one token, and no role is one."""
        try:
            _NAME.validate_python(name)
        except ValidationError:
            return Rejected(Reason.MALFORMED, f"{name!r} is no name: use a-z, 0-9, . _ and -")
        if name in {issuer for issuer, _ in ISSUERS.values()}:
            return Rejected(Reason.MALFORMED, f"{name} is the name of a role")
        if self.named(name) is not None:
            return Rejected(Reason.ID_REUSED, f"{name} has a token in {self._path.name}")
        token = NamedToken(name, kind, draw())
        rows = [
            {"name": one.name, "role": Role.AGENT.value, "kind": one.kind.value,
             "token": one.secret}
            for one in (*self.all(), token)
        ]  # fmt: skip
        write_whole(self._path, json.dumps({"tokens": rows}, indent=1) + "\n", mode=0o600)
        return token


def _read(path: Path) -> tuple[NamedToken, ...]:
    rows: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["tokens"]
    return tuple(
        NamedToken(str(row["name"]), IssuerKind(row["kind"]), str(row["token"])) for row in rows
    )
