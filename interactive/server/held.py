"""Commands that wait for a person's yes or no, in the inbox's database."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import Enum
from typing import Any

from interactive.commands import Envelope
from interactive.outcome import Issuer, IssuerKind

SCHEMA = """
CREATE TABLE IF NOT EXISTS held (
    id INTEGER PRIMARY KEY,
    command_id TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    issuer TEXT NOT NULL,
    kind TEXT NOT NULL,
    is_agent INTEGER NOT NULL,
    received_s REAL NOT NULL,
    releases_s REAL,
    envelope TEXT NOT NULL,
    state TEXT NOT NULL,
    by_name TEXT,
    by_kind TEXT,
    decided_s REAL,
    why TEXT
);
CREATE INDEX IF NOT EXISTS waiting ON held (id) WHERE state = 'awaiting_approval';
CREATE TABLE IF NOT EXISTS agents_halted (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    by_name TEXT NOT NULL,
    at_s REAL NOT NULL,
    why TEXT NOT NULL
);
"""

_COLUMNS = (
    "command_id, digest, issuer, kind, received_s, releases_s, envelope, state,"
    " by_name, by_kind, decided_s, why"
)
WINDOW = Issuer("veto window", IssuerKind.SCRIPT)
"""Who lets a command through that nobody vetoed in time."""


class HeldState(str, Enum):
    """What became of a command that needs approval."""

    AWAITING = "awaiting_approval"
    APPROVED = "approved"
    VETOED = "vetoed"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Decision:
    """Who let a command through or vetoed it, why, and when (seconds since the epoch)."""

    by: Issuer
    reason: str
    wall_s: float

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object, as the ledger shows it."""
        by = {"name": self.by.name, "kind": self.by.kind.value}
        return {**by, "reason": self.reason, "wall_s": self.wall_s}


@dataclass(frozen=True, slots=True)
class Held:
    """A command that needs approval.

    ``releases_s`` is when it is delivered by itself unless vetoed (seconds since the
    epoch); None needs a yes.
    """

    command_id: str
    digest: str
    issuer: Issuer
    received_s: float
    releases_s: float | None
    envelope: Envelope
    state: HeldState
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class Halt:
    """That agents may send nothing: who said so, when (seconds since the epoch) and why."""

    by: str
    at_s: float
    reason: str


class HeldCommands:
    """The rows of held commands, and the switch that halts agents.

    Whoever calls holds the lock of the connection.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        ended = (HeldState.VETOED.value, HeldState.SUPERSEDED.value)
        query = "SELECT command_id FROM held WHERE state IN (?, ?)"
        self.ended: set[str] = {row[0] for row in connection.execute(query, ended)}
        """The ids of those that will never be delivered."""

    def add(
        self,
        envelope: Envelope,
        digest: str,
        issuer: Issuer,
        *,
        is_agent: bool,
        received_s: float,
        window_s: float | None,
    ) -> None:
        """Keep a command until somebody decides."""
        self._connection.execute(
            "INSERT INTO held (command_id, digest, issuer, kind, is_agent, received_s,"
            " releases_s, envelope, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                str(envelope.command_id),
                digest,
                issuer.name,
                issuer.kind.value,
                is_agent,
                received_s,
                None if window_s is None else received_s + window_s,
                envelope.model_dump_json(exclude_none=True),
                HeldState.AWAITING.value,
            ),
        )

    def find(self, command_id: str) -> Held | None:
        """Return a command that was held, whatever became of it."""
        found = self._select("WHERE command_id = ?", (command_id,))
        return found[0] if found else None

    def waiting(self) -> list[Held]:
        """Return the commands that wait for a decision, oldest first."""
        return self._select("WHERE state = 'awaiting_approval' ORDER BY id", ())

    def decided(self, limit: int) -> list[Held]:
        """Return the newest commands that were decided, newest first."""
        return self._select("WHERE state != 'awaiting_approval' ORDER BY id DESC LIMIT ?", (limit,))

    def due(self, now_s: float) -> list[Held]:
        """Return the waiting commands whose window is over; while halted, none of agents."""
        return self._select(
            "WHERE state = 'awaiting_approval' AND releases_s <= ? AND is_agent <= ?"
            " ORDER BY releases_s, id",
            (now_s, self.halt() is None),
        )

    def decide(self, command_id: str, state: HeldState, decision: Decision) -> None:
        """Write down what became of a command."""
        self._connection.execute(
            "UPDATE held SET state = ?, by_name = ?, by_kind = ?, decided_s = ?, why = ?"
            " WHERE command_id = ?",
            (
                state.value,
                decision.by.name,
                decision.by.kind.value,
                decision.wall_s,
                decision.reason,
                command_id,
            ),
        )
        if state is not HeldState.APPROVED:
            self.ended.add(command_id)

    def halt(self) -> Halt | None:
        """Return who halted the agents, or None where they may act."""
        row = self._connection.execute("SELECT by_name, at_s, why FROM agents_halted").fetchone()
        return None if row is None else Halt(*row)

    def set_halt(self, halt: Halt | None) -> None:
        """Halt the agents, or let them act again."""
        if halt is None:
            self._connection.execute("DELETE FROM agents_halted")
            return
        self._connection.execute(
            "INSERT OR REPLACE INTO agents_halted (id, by_name, at_s, why) VALUES (1, ?, ?, ?)",
            (halt.by, halt.at_s, halt.reason),
        )

    def _select(self, where: str, values: tuple[Any, ...]) -> list[Held]:
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM held {where}", values)
        return [_held(row) for row in rows.fetchall()]


def _held(row: tuple[Any, ...]) -> Held:
    decision = None
    if row[8] is not None:
        decision = Decision(Issuer(row[8], IssuerKind(row[9])), row[11], row[10])
    return Held(
        command_id=row[0],
        digest=row[1],
        issuer=Issuer(row[2], IssuerKind(row[3])),
        received_s=row[4],
        releases_s=row[5],
        envelope=Envelope.model_validate_json(row[6]),
        state=HeldState(row[7]),
        decision=decision,
    )
