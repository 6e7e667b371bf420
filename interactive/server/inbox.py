"""The requests of a run: durable before they are answered, in one total order."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from interactive.commands import Envelope
from interactive.outcome import CommandState, Issuer, IssuerKind, Reason, Rejected

Judge = Callable[[Envelope], Rejected | None]

KEPT_BODY_CHARS = 4096
"""How much of a malformed body is kept."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS accepted (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    command_id TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    issuer TEXT NOT NULL,
    kind TEXT NOT NULL,
    received_s REAL NOT NULL,
    envelope TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS refused (
    id INTEGER PRIMARY KEY,
    command_id TEXT UNIQUE,
    digest TEXT NOT NULL,
    issuer TEXT NOT NULL,
    kind TEXT NOT NULL,
    received_s REAL NOT NULL,
    body TEXT NOT NULL,
    code TEXT NOT NULL,
    hint TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to an accepted command: its place in the order."""

    command_id: str
    seq: int
    state: CommandState = CommandState.ACCEPTED


@dataclass(frozen=True, slots=True)
class Request:
    """An accepted command as the trainer receives it."""

    seq: int
    issuer: Issuer
    envelope: Envelope


class Inbox:
    """All commands that were ever received; only the accepted ones have a place in the order.

    What became of an accepted command is not kept here: the ledger says it.

    Args:
        connection: the only connection to the database; any thread may use it.
        wall_clock: seconds since the epoch, for reading only.
    """

    def __init__(self, connection: sqlite3.Connection, wall_clock: Callable[[], float]) -> None:
        self._connection = connection
        self._wall_clock = wall_clock
        self._lock = Lock()
        row = connection.execute("SELECT COALESCE(MAX(seq), 0) FROM accepted").fetchone()
        self._head: int = row[0]

    @classmethod
    def open(cls, path: Path, wall_clock: Callable[[], float]) -> Inbox:
        """Open or create the database file."""
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
        return cls(connection, wall_clock)

    @property
    def head(self) -> int:
        """Return the seq of the newest accepted command; 0 where there is none."""
        return self._head

    def receive(self, body: bytes, issuer: Issuer, judge: Judge) -> Receipt | Rejected:
        """Take a command; it is on disk when this returns.

        Args:
            body: an envelope as JSON.
            issuer: the sender, as its token says.
            judge: says why a well-formed command is refused, or None.

        Returns:
            The receipt, or the refusal. The same id with the same body and issuer gets the
            first answer again, with another one ``ID_REUSED``.
        """
        parsed = _parse(body)
        command_id, digest = _identity(parsed, body)
        with self._lock:
            if command_id is not None:
                first = self._first_answer(command_id, digest, issuer)
                if first is not None:
                    return first
            if isinstance(parsed, Envelope):
                refusal = judge(parsed)
                if refusal is None:
                    return self._accept(parsed, digest, issuer)
                parsed = refusal
            self._refuse(command_id, digest, issuer, body, parsed)
            return parsed

    def after(self, seq: int) -> list[Request]:
        """Return the accepted commands after ``seq``, in order."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT seq, issuer, kind, envelope FROM accepted WHERE seq > ? ORDER BY seq",
                (seq,),
            ).fetchall()
        return [
            Request(
                row[0], Issuer(row[1], IssuerKind(row[2])), Envelope.model_validate_json(row[3])
            )
            for row in rows
        ]

    def find(self, command_id: str) -> Receipt | Rejected | None:
        """Return the answer that a command got, or None where none has this id."""
        with self._lock:
            row = self._row("accepted", "seq", command_id)
            if row is not None:
                return Receipt(command_id, row[0])
            row = self._row("refused", "code, hint", command_id)
            return None if row is None else Rejected(Reason(row[0]), row[1])

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _row(self, table: str, columns: str, command_id: str) -> Any:
        query = f"SELECT {columns} FROM {table} WHERE command_id = ?"
        return self._connection.execute(query, (command_id,)).fetchone()

    def _first_answer(
        self, command_id: str, digest: str, issuer: Issuer
    ) -> Receipt | Rejected | None:
        answer: Receipt | Rejected
        row = self._row("accepted", "digest, issuer, seq", command_id)
        if row is not None:
            answer = Receipt(command_id, row[2])
        else:
            row = self._row("refused", "digest, issuer, code, hint", command_id)
            if row is None:
                return None
            answer = Rejected(Reason(row[2]), row[3])
        if (row[0], row[1]) == (digest, issuer.name):
            return answer
        hint = f"command id {command_id} was used for another command; make a new id"
        return Rejected(Reason.ID_REUSED, hint)

    def _accept(self, envelope: Envelope, digest: str, issuer: Issuer) -> Receipt:
        command_id = str(envelope.command_id)
        cursor = self._connection.execute(
            "INSERT INTO accepted (command_id, digest, issuer, kind, received_s, envelope)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                command_id,
                digest,
                issuer.name,
                issuer.kind.value,
                self._wall_clock(),
                envelope.model_dump_json(exclude_none=True),
            ),
        )
        assert cursor.lastrowid is not None
        self._head = cursor.lastrowid
        return Receipt(command_id, self._head)

    def _refuse(
        self, command_id: str | None, digest: str, issuer: Issuer, body: bytes, why: Rejected
    ) -> None:
        self._connection.execute(
            "INSERT INTO refused (command_id, digest, issuer, kind, received_s, body, code, hint)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                command_id,
                digest,
                issuer.name,
                issuer.kind.value,
                self._wall_clock(),
                body.decode("utf-8", "replace")[:KEPT_BODY_CHARS],
                why.code.value,
                why.hint,
            ),
        )


def _parse(body: bytes) -> Envelope | Rejected:
    try:
        return Envelope.model_validate_json(body)
    except ValidationError as error:
        return Rejected(Reason.MALFORMED, _hint(error))


def _hint(error: ValidationError) -> str:
    """Return the first three complaints; the input is left out, it may be anything."""
    complaints = error.errors(include_url=False, include_input=False, include_context=False)
    lines = []
    for complaint in complaints[:3]:
        path = complaint["loc"]
        if path[:1] == ("command",) and len(path) > 1:
            path = path[2:]  # the command's name, which the sender knows
        place = ".".join(map(str, path))
        message = complaint["msg"].removeprefix("Value error, ")
        lines.append(f"{place}: {message}" if place else message)
    return "; ".join(lines)[:1000]


def _identity(parsed: Envelope | Rejected, body: bytes) -> tuple[str | None, str]:
    """Return a command's id where it can be read, and the digest of what it says."""
    if isinstance(parsed, Envelope):
        said = json.dumps(
            parsed.model_dump(mode="json", exclude_none=True), sort_keys=True
        ).encode()
        return str(parsed.command_id), hashlib.sha256(said).hexdigest()
    digest = hashlib.sha256(body).hexdigest()
    try:
        return str(UUID(json.loads(body)["command_id"])), digest
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, digest
