"""The requests of a run: durable before they are answered, in one total order."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

from interactive.commands import Envelope
from interactive.outcome import CommandState, Issuer, IssuerKind, Reason, Rejected
from interactive.policy import Hold
from interactive.server import held
from interactive.server.envelopes import identity, parse
from interactive.server.held import Decision, Halt, Held, HeldCommands, HeldState

Judge = Callable[[Envelope], Rejected | Hold | None]

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
    """The answer to a command that was not refused: its place in the order, if it has one."""

    command_id: str
    seq: int | None
    state: CommandState = CommandState.ACCEPTED


@dataclass(frozen=True, slots=True)
class Request:
    """An accepted command as the trainer receives it."""

    seq: int
    issuer: Issuer
    envelope: Envelope
    approved_by: Decision | None = None


class Inbox:
    """All commands that were ever received; only the accepted ones have a place in the order.

    One that needs approval gets its place when it is let through. What became of an accepted
    command is not kept here: the ledger says it.

    Args:
        connection: the only connection to the database; any thread may use it.
        wall_clock: seconds since the epoch; veto windows end by it, also over a restart.
    """

    def __init__(self, connection: sqlite3.Connection, wall_clock: Callable[[], float]) -> None:
        self._connection = connection
        self._wall_clock = wall_clock
        self._lock = RLock()
        self._held = HeldCommands(connection)
        counts = connection.execute(
            "SELECT issuer, COUNT(*) FROM (SELECT issuer, command_id FROM accepted"
            " UNION SELECT issuer, command_id FROM held) GROUP BY issuer"
        )
        self._count_by: Counter[str] = Counter(dict(counts.fetchall()))
        row = connection.execute("SELECT COALESCE(MAX(seq), 0) FROM accepted").fetchone()
        self._head: int = row[0]

    @classmethod
    def open(cls, path: Path, wall_clock: Callable[[], float]) -> Inbox:
        """Open or create the database file."""
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA + held.SCHEMA)
        return cls(connection, wall_clock)

    @property
    def head(self) -> int:
        """Return the seq of the newest accepted command; 0 where there is none."""
        return self._head

    def receive(
        self, body: bytes, issuer: Issuer, judge: Judge, *, is_agent: bool = False
    ) -> Receipt | Rejected:
        """Take a command; it is on disk when this returns.

        Args:
            body: an envelope as JSON.
            issuer: the sender, as its token says.
            judge: says of a well-formed command why it is refused, or that it is held.
            is_agent: a held command of an agent is not let through while agents are halted.

        Returns:
            The receipt, or the refusal. The same id with the same body and issuer gets the
            first answer again, with another one ``ID_REUSED``.
        """
        parsed = parse(body)
        command_id, digest = identity(parsed, body)
        with self._lock:
            if command_id is not None:
                first = self._first_answer(command_id, digest, issuer)
                if first is not None:
                    return first
            if isinstance(parsed, Envelope):
                verdict = judge(parsed)
                if not isinstance(verdict, Rejected):
                    return self._take(parsed, digest, issuer, verdict, is_agent)
                parsed = verdict
            self._refuse(command_id, digest, issuer, body, parsed)
            return parsed

    def after(self, seq: int) -> list[Request]:
        """Return the accepted commands after ``seq``, in order."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT seq, a.issuer, a.kind, a.envelope, by_name, by_kind, why, decided_s"
                " FROM accepted AS a LEFT JOIN held USING (command_id)"
                " WHERE seq > ? ORDER BY seq",
                (seq,),
            ).fetchall()
        return [
            Request(
                row[0],
                Issuer(row[1], IssuerKind(row[2])),
                Envelope.model_validate_json(row[3]),
                Decision(Issuer(row[4], IssuerKind(row[5])), row[6], row[7]) if row[4] else None,
            )
            for row in rows
        ]

    def find(self, command_id: str) -> Receipt | Rejected | None:
        """Return the answer that a command got, or None where none has this id."""
        with self._lock:
            row = self._row("accepted", "seq", command_id)
            if row is not None:
                return Receipt(command_id, row[0])
            waits = self._held.find(command_id)
            if waits is not None:
                return Receipt(command_id, None, CommandState(waits.state.value))
            row = self._row("refused", "code, hint", command_id)
            return None if row is None else Rejected(Reason(row[0]), row[1])

    def approve(self, command_id: str, by: Issuer, reason: str) -> Held | Rejected | None:
        """Let a held command through: it gets its place in the order now.

        Returns:
            The command with the decision, the refusal where it was decided otherwise, or
            None where no command with this id needs approval.
        """
        return self._decide(command_id, HeldState.APPROVED, by, reason)

    def veto(self, command_id: str, by: Issuer, reason: str) -> Held | Rejected | None:
        """Refuse a held command for good; the answers are those of ``approve``."""
        return self._decide(command_id, HeldState.VETOED, by, reason)

    def release_due(self) -> int:
        """Let those through whose veto window is over, and return how many."""
        with self._lock:
            now_s = self._wall_clock()
            due = self._held.due(now_s)
            for one in due:
                window_s = (one.releases_s or now_s) - one.received_s
                why = f"nobody vetoed it within {window_s:g} s"
                self._release(one, Decision(held.WINDOW, why, now_s))
            return len(due)

    def approvals(self, decided: int = 0) -> list[Held]:
        """Return the commands that wait for a decision, and the newest ``decided`` others."""
        with self._lock:
            return self._held.waiting() + (self._held.decided(decided) if decided else [])

    def held(self, command_id: str) -> Held | None:
        """Return a command that needs or needed approval."""
        with self._lock:
            return self._held.find(command_id)

    def is_ended(self, command_id: str) -> bool:
        """Return whether a held command was vetoed or taken back; asks no disk."""
        return command_id in self._held.ended

    def halt_agents(self, by: Issuer, reason: str) -> Halt:
        """Refuse what agents send from here on, over restarts too."""
        with self._lock:
            halt = Halt(by.name, self._wall_clock(), reason)
            self._held.set_halt(halt)
            return halt

    def allow_agents(self) -> None:
        """Let agents send again."""
        with self._lock:
            self._held.set_halt(None)

    def halt(self) -> Halt | None:
        """Return who halted the agents, or None where they may act."""
        with self._lock:
            return self._held.halt()

    def count_of(self, issuer: str) -> int:
        """Return how many commands of a sender were not refused."""
        return self._count_by[issuer]

    def newest_of(self, issuer: str, limit: int) -> list[Envelope]:
        """Return a sender's newest commands that were not refused, held ones included."""
        query = "SELECT envelope FROM accepted WHERE issuer = ? ORDER BY seq DESC LIMIT ?"
        with self._lock:
            rows = self._connection.execute(query, (issuer, limit)).fetchall()
            waiting = [one.envelope for one in self._held.waiting() if one.issuer.name == issuer]
        return [*waiting, *(Envelope.model_validate_json(row[0]) for row in rows)]

    def sender_of(self, command_id: str) -> str | None:
        """Return who sent a command that was not refused, or None for an unknown one."""
        with self._lock:
            row = self._row("accepted", "issuer", command_id)
            row = row or self._row("held", "issuer", command_id)
            return None if row is None else str(row[0])

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _row(self, table: str, columns: str, command_id: str) -> Any:
        query = f"SELECT {columns} FROM {table} WHERE command_id = ?"
        return self._connection.execute(query, (command_id,)).fetchone()

    def _first_answer(
        self, command_id: str, digest: str, issuer: Issuer
    ) -> Receipt | Rejected | None:
        for table in ("accepted", "held", "refused"):
            row = self._row(table, "digest, issuer", command_id)
            if row is not None:
                break
        else:
            return None
        if tuple(row) == (digest, issuer.name):
            return self.find(command_id)
        hint = f"command id {command_id} was used for another command; make a new id"
        return Rejected(Reason.ID_REUSED, hint)

    def _take(
        self,
        envelope: Envelope,
        digest: str,
        issuer: Issuer,
        hold: Hold | None,
        is_agent: bool,
    ) -> Receipt:
        command_id, now_s = str(envelope.command_id), self._wall_clock()
        with self._transaction():
            if envelope.supersedes is not None:
                other = self._held.find(str(envelope.supersedes))
                if other is not None and other.state is HeldState.AWAITING:
                    taken_back = Decision(issuer, f"{command_id} takes its place", now_s)
                    self._held.decide(other.command_id, HeldState.SUPERSEDED, taken_back)
            if hold is None:
                seq = self._accept(command_id, digest, issuer, now_s, envelope)
            else:
                self._held.add(
                    envelope,
                    digest,
                    issuer,
                    is_agent=is_agent,
                    received_s=now_s,
                    window_s=hold.window_s,
                )
        self._count_by[issuer.name] += 1
        if hold is not None:
            return Receipt(command_id, None, CommandState.AWAITING_APPROVAL)
        self._head = seq
        return Receipt(command_id, seq)

    def _decide(
        self, command_id: str, state: HeldState, by: Issuer, reason: str
    ) -> Held | Rejected | None:
        with self._lock:
            self.release_due()
            found = self._held.find(command_id)
            if found is None or found.state is state:
                return found
            if found.state is not HeldState.AWAITING:
                who = found.decision.by.name if found.decision else "somebody"
                hint = f"it is {found.state.value} already, by {who}"
                return Rejected(Reason.ALREADY_DECIDED, hint)
            decision = Decision(by, reason, self._wall_clock())
            if state is HeldState.APPROVED:
                self._release(found, decision)
            else:
                self._held.decide(command_id, state, decision)
            return self._held.find(command_id)

    def _release(self, one: Held, decision: Decision) -> None:
        with self._transaction():
            self._held.decide(one.command_id, HeldState.APPROVED, decision)
            seq = self._accept(one.command_id, one.digest, one.issuer, one.received_s, one.envelope)
        self._head = seq

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it is on the disk afterwards, or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # SQLite may have rolled back by itself, such as on a full disk.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _accept(
        self, command_id: str, digest: str, issuer: Issuer, received_s: float, envelope: Envelope
    ) -> int:
        cursor = self._connection.execute(
            "INSERT INTO accepted (command_id, digest, issuer, kind, received_s, envelope)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                command_id,
                digest,
                issuer.name,
                issuer.kind.value,
                received_s,
                envelope.model_dump_json(exclude_none=True),
            ),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

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
