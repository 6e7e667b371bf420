"""The SQLite index of a store: traces, clip rows, quarantine; one writer, dense commits."""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from data_collection.trace import ClipRow, ClipState, TraceHeader

_SCHEMA = """
CREATE TABLE IF NOT EXISTS traces (
    trace_id TEXT PRIMARY KEY, header TEXT NOT NULL, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS clips (
    "commit" INTEGER PRIMARY KEY, trace_id TEXT NOT NULL, seq INTEGER NOT NULL,
    source TEXT NOT NULL, file TEXT NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL, body_sha TEXT NOT NULL, content_sha TEXT NOT NULL,
    first_frame INTEGER NOT NULL, frames INTEGER NOT NULL, weight INTEGER NOT NULL,
    frame_source TEXT NOT NULL, policy TEXT NOT NULL, captured_wall_s REAL NOT NULL,
    acknowledged_wall_s REAL NOT NULL, state TEXT NOT NULL, UNIQUE (trace_id, seq));
CREATE INDEX IF NOT EXISTS clips_content ON clips (content_sha);
CREATE TABLE IF NOT EXISTS quarantine (
    trace_id TEXT NOT NULL, seq INTEGER NOT NULL, body_sha TEXT NOT NULL,
    code TEXT NOT NULL, hint TEXT NOT NULL, at_wall_s REAL NOT NULL,
    PRIMARY KEY (trace_id, seq, body_sha));
"""
_COLUMNS = tuple(field.name for field in fields(ClipRow))
_SELECT = "SELECT {} FROM clips ".format(", ".join(f'"{name}"' for name in _COLUMNS))


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """What the index knows of one trace; sizes in bytes."""

    header: TraceHeader
    state: ClipState
    clips: int
    frames: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SourceCount:
    """How many clips of a source stand in a state."""

    source: str
    state: ClipState
    clips: int


@dataclass(frozen=True, slots=True)
class QuarantinedClip:
    """A clip that was refused and kept, with the reason."""

    trace_id: str
    seq: int
    body_sha: str
    code: str
    hint: str
    at_wall_s: float


class Index:
    """The index; every call is one transaction, durable when it returns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.RLock()
        self._last_commit = int(
            connection.execute('SELECT COALESCE(MAX("commit"), 0) FROM clips').fetchone()[0]
        )

    @classmethod
    def open(cls, path: Path) -> Index:
        """Open or create the index; only the holder of the store's lock may."""
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
        return cls(connection)

    @property
    def last_commit(self) -> int:
        """The highest commit number, 0 in an empty store."""
        return self._last_commit

    def add_trace(self, header: TraceHeader) -> None:
        """Add a trace that is not there yet."""
        self._write(
            "INSERT INTO traces VALUES (?, ?, ?)",
            (header.trace_id, json.dumps(header.to_json()), ClipState.COMMITTED.value),
        )

    def trace(self, trace_id: str) -> tuple[TraceHeader, ClipState] | None:
        """Return a trace's header and state."""
        found = self._read("SELECT header, state FROM traces WHERE trace_id = ?", (trace_id,))
        return (_header(found[0][0]), ClipState(found[0][1])) if found else None

    def commit(self, row: ClipRow) -> ClipRow:
        """Add a row under the next commit number; a duplicate's weight becomes 0.

        Args:
            row: its ``commit`` is ignored.

        Returns:
            The row as stored.
        """
        with self._lock:
            # Clips that are context only are no originals: the same frames may be a
            # target when a real desktop shows them.
            duplicate = self._read(
                "SELECT 1 FROM clips WHERE content_sha = ? AND weight > 0 AND state = ? LIMIT 1",
                (row.content_sha, ClipState.COMMITTED.value),
            )
            weight = 0 if duplicate else row.weight
            stored = replace(row, commit=self._last_commit + 1, weight=weight)
            marks = ", ".join("?" * len(_COLUMNS))
            self._write(f"INSERT INTO clips VALUES ({marks})", tuple(stored.to_json().values()))
            self._last_commit = stored.commit
        return stored

    def clip(self, trace_id: str, seq: int) -> ClipRow | None:
        """Return the row of a clip."""
        rows = self._rows("WHERE trace_id = ? AND seq = ?", (trace_id, seq))
        return rows[0] if rows else None

    def rows_after(self, commit: int, limit: int) -> list[ClipRow]:
        """Return up to ``limit`` rows with a higher commit number, in order."""
        return self._rows('WHERE "commit" > ? ORDER BY "commit" LIMIT ?', (commit, limit))

    def trace_rows(self, trace_id: str) -> list[ClipRow]:
        """Return the rows of a trace in the order of its clips."""
        return self._rows("WHERE trace_id = ? ORDER BY seq", (trace_id,))

    def present(self, trace_id: str) -> list[int]:
        """Return which clips of a trace are stored."""
        found = self._read("SELECT seq FROM clips WHERE trace_id = ? ORDER BY seq", (trace_id,))
        return [seq for (seq,) in found]

    def end_of_last_body(self, trace_id: str) -> int:
        """Return where the last indexed body of a trace ends in its file, 0 without one."""
        query = "SELECT COALESCE(MAX(offset + length), 0) FROM clips WHERE trace_id = ?"
        return int(self._read(query, (trace_id,))[0][0])

    def tombstone(self, trace_id: str) -> None:
        """Withdraw a trace and its clips."""
        with self._lock:
            self._write("BEGIN IMMEDIATE")
            for table in ("traces", "clips"):
                self._write(
                    f"UPDATE {table} SET state = ? WHERE trace_id = ?",
                    (ClipState.TOMBSTONED.value, trace_id),
                )
            self._write("COMMIT")

    def tombstoned(self) -> list[str]:
        """Return the ids of the withdrawn traces."""
        query = "SELECT trace_id FROM traces WHERE state = ? ORDER BY trace_id"
        return [trace_id for (trace_id,) in self._read(query, (ClipState.TOMBSTONED.value,))]

    def traces(self) -> list[TraceSummary]:
        """Return every trace with its totals, in the order they were opened."""
        found = self._read(
            "SELECT header, traces.state, COUNT(seq), COALESCE(SUM(frames), 0),"
            " COALESCE(SUM(length), 0) FROM traces LEFT JOIN clips USING (trace_id)"
            " GROUP BY trace_id ORDER BY traces.rowid"
        )
        return [
            TraceSummary(_header(header), ClipState(state), *totals)
            for header, state, *totals in found
        ]

    def counts(self) -> list[SourceCount]:
        """Return how many clips there are of each source and state."""
        found = self._read(
            "SELECT source, state, COUNT(*) FROM clips GROUP BY source, state ORDER BY 1, 2"
        )
        return [SourceCount(source, ClipState(state), clips) for source, state, clips in found]

    def quarantine(self, clip: QuarantinedClip) -> None:
        """Note a refused clip; a second note of the same one replaces the first."""
        self._write(
            "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?, ?)",
            (clip.trace_id, clip.seq, clip.body_sha, clip.code, clip.hint, clip.at_wall_s),
        )

    def quarantined(self, limit: int = 1000) -> list[QuarantinedClip]:
        """Return the latest refused clips, oldest first."""
        return [
            QuarantinedClip(*values)
            for values in reversed(
                self._read("SELECT * FROM quarantine ORDER BY rowid DESC LIMIT ?", (limit,))
            )
        ]

    def quarantine_count(self) -> int:
        """Return how many clips were refused."""
        return int(self._read("SELECT COUNT(*) FROM quarantine")[0][0])

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    def _rows(self, condition: str, values: tuple[Any, ...]) -> list[ClipRow]:
        found = self._read(_SELECT + condition, values)
        return [ClipRow.from_json(dict(zip(_COLUMNS, row, strict=True))) for row in found]

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def _write(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        with self._lock:
            self._connection.execute(statement, values)


def _header(text: str) -> TraceHeader:
    return TraceHeader.from_json(json.loads(text))
