"""The SQLite index of a store: traces, clip rows, withdrawals, quarantine; one writer.

Commit numbers are dense over clips and withdrawals together: a withdrawal is a row of
its own in the order of commits, so whoever follows the order learns of it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from data_collection.storage.index_rows import IndexFailed as IndexFailed
from data_collection.storage.index_rows import QuarantinedClip as QuarantinedClip
from data_collection.storage.index_rows import SourceCount as SourceCount
from data_collection.storage.index_rows import TraceSummary as TraceSummary
from data_collection.storage.index_schema import (
    COLUMNS,
    ROWS_AFTER,
    SCHEMA,
    SELECT,
    WITHDRAWALS,
)
from data_collection.storage.tombstone import Tombstone, Withdrawal
from data_collection.trace import ClipRow, ClipState, TraceHeader


class Index:
    """The index; every call is one transaction, durable when it returns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.RLock()
        # None after a failure: a commit that failed may have reached the disk all the same.
        self._last_commit: int | None = None

    @classmethod
    def open(cls, path: Path) -> Index:
        """Open or create the index; only the holder of the store's lock may.

        Raises:
            IndexFailed: the file cannot be opened, or is damaged.
        """
        try:
            connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise _failed(error) from error
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise IndexFailed(str(found), is_damage=True)
            connection.executescript(SCHEMA)
            index = cls(connection)
            index._number_old_tombstones()
        except sqlite3.Error as error:
            connection.close()
            raise _failed(error) from error
        except BaseException:
            connection.close()
            raise
        return index

    @property
    def last_commit(self) -> int:
        """The highest commit number, 0 in an empty store."""
        with self._lock:
            if self._last_commit is None:
                self._last_commit = self._highest_commit()
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

    def numbered(self, row: ClipRow) -> ClipRow:
        """Return a row under the next commit number; a duplicate's weight becomes 0.

        Args:
            row: its ``commit`` is ignored.
        """
        with self._lock:
            # Clips that are context only are no originals: the same frames may be a
            # target when a real desktop shows them.
            duplicate = self._read(
                "SELECT 1 FROM clips WHERE content_sha = ? AND weight > 0 AND state = ? LIMIT 1",
                (row.content_sha, ClipState.COMMITTED.value),
            )
            weight = 0 if duplicate else row.weight
            return replace(row, commit=self.last_commit + 1, weight=weight)

    def commit(self, row: ClipRow) -> ClipRow:
        """Add a row under the next commit number; return it as ``numbered`` does."""
        with self._lock:
            return self.restore(self.numbered(row))

    def restore(self, row: ClipRow) -> ClipRow:
        """Add a row under its own commit number, which is free."""
        with self._lock:
            last_commit, self._last_commit = self.last_commit, None
            self._write(f"INSERT INTO clips VALUES ({_marks(row)})", tuple(row.to_json().values()))
            self._last_commit = max(last_commit, row.commit)
        return row

    def is_free(self, commit: int) -> bool:
        """Tell whether no row has a commit number yet."""
        query = (
            'SELECT 1 FROM clips WHERE "commit" = ?1'
            ' UNION ALL SELECT 1 FROM withdrawals WHERE "commit" = ?1'
        )
        return commit > 0 and not self._read(query, (commit,))

    def clip(self, trace_id: str, seq: int) -> ClipRow | None:
        """Return the row of a clip."""
        rows = self._rows("WHERE trace_id = ? AND seq = ?", (trace_id, seq))
        return rows[0] if rows else None

    def rows_after(self, commit: int, limit: int) -> list[ClipRow]:
        """Return up to ``limit`` rows with a higher commit number, in order.

        Clips and withdrawals alike; a withdrawn clip's own row says so, too.
        """
        return _as_rows(self._read(ROWS_AFTER, (commit, limit)))

    def trace_rows(self, trace_id: str) -> list[ClipRow]:
        """Return the rows of a trace in the order of its clips."""
        return self._rows("WHERE trace_id = ? ORDER BY seq", (trace_id,))

    def present(self, trace_id: str) -> list[int]:
        """Return which clips of a trace are stored."""
        found = self._read("SELECT seq FROM clips WHERE trace_id = ? ORDER BY seq", (trace_id,))
        return [seq for (seq,) in found]

    def end_of_last_body(self, trace_id: str) -> int:
        """Return where the last body of a trace ends in its file, 0 without one.

        Bodies that are destroyed do not count: the file may have shrunk since.
        """
        query = (
            "SELECT COALESCE(MAX(offset + length), 0) FROM clips AS c WHERE trace_id = ?"
            " AND NOT EXISTS (SELECT 1 FROM withdrawals AS w WHERE w.trace_id = c.trace_id"
            " AND w.seq = c.seq AND w.purged)"
        )
        return int(self._read(query, (trace_id,))[0][0])

    def withdraw(self, trace_id: str, tombstone: Tombstone) -> None:
        """Add a tombstone's withdrawals under their numbers; refuse what it speaks of.

        A clip that has no row yet (its bytes are gone) gets one.
        """
        with self.together():
            self._last_commit = None
            for withdrawal in tombstone.withdrawals:
                clip = replace(withdrawal.clip, state=ClipState.TOMBSTONED)
                self._write(
                    f"INSERT OR IGNORE INTO clips VALUES ({_marks(clip)})",
                    tuple(clip.to_json().values()),
                )
                self._write(
                    "UPDATE clips SET state = ? WHERE trace_id = ? AND seq = ?",
                    (ClipState.TOMBSTONED.value, trace_id, clip.seq),
                )
                self._write(
                    "INSERT INTO withdrawals VALUES (?, ?, ?, ?)",
                    (withdrawal.commit, trace_id, clip.seq, withdrawal.purged),
                )
            self._write(
                "INSERT OR IGNORE INTO refused VALUES (?, ?, ?)",
                (trace_id, tombstone.first, tombstone.last),
            )
            if tombstone.whole:
                self._write(
                    "UPDATE traces SET state = ? WHERE trace_id = ?",
                    (ClipState.TOMBSTONED.value, trace_id),
                )

    def is_refused(self, trace_id: str, first: int, last: int) -> bool:
        """Tell whether one withdrawal took back all the clips ``first`` to ``last``."""
        query = "SELECT 1 FROM refused WHERE trace_id = ? AND first <= ? AND last >= ?"
        return bool(self._read(query, (trace_id, first, last)))

    def refused(self, trace_id: str) -> list[tuple[int, int]]:
        """Return the intervals of clips, first and last, that were taken back at once."""
        query = "SELECT first, last FROM refused WHERE trace_id = ? ORDER BY first, last"
        return [(first, last) for first, last in self._read(query, (trace_id,))]

    def withdrawals(self, trace_id: str, first: int = 0, last: int = 2**62) -> list[Withdrawal]:
        """Return the withdrawn clips of a trace in the order of its clips."""
        condition = "WHERE w.trace_id = ? AND w.seq BETWEEN ? AND ? ORDER BY w.seq"
        return [
            Withdrawal(_as_rows([values])[0], commit, bool(purged))
            for commit, purged, *values in self._read(
                WITHDRAWALS + condition, (trace_id, first, last)
            )
        ]

    def unpurged(self, upto_commit: int) -> list[str]:
        """Return the traces with withdrawn clips, up to a commit, whose bytes are there."""
        query = (
            'SELECT DISTINCT trace_id FROM withdrawals WHERE NOT purged AND "commit" <= ?'
            " ORDER BY trace_id"
        )
        return [trace_id for (trace_id,) in self._read(query, (upto_commit,))]

    def mark_purged(self, commits: Iterable[int]) -> None:
        """Note that the bytes of withdrawn clips are destroyed, by the withdrawals' numbers."""
        with self.together():
            for commit in commits:
                self._write('UPDATE withdrawals SET purged = 1 WHERE "commit" = ?', (commit,))

    def tombstoned(self) -> list[str]:
        """Return the ids of the withdrawn traces."""
        query = "SELECT trace_id FROM traces WHERE state = ? ORDER BY trace_id"
        return [trace_id for (trace_id,) in self._read(query, (ClipState.TOMBSTONED.value,))]

    def traces(self) -> list[TraceSummary]:
        """Return every trace with its totals, in the order they were opened."""
        found = self._read(
            "SELECT header, traces.state, COUNT(seq) FILTER (WHERE clips.state = ?1),"
            " COALESCE(SUM(frames) FILTER (WHERE clips.state = ?1), 0),"
            " COALESCE(SUM(length) FILTER (WHERE clips.state = ?1), 0),"
            " COUNT(seq) FILTER (WHERE clips.state <> ?1)"
            " FROM traces LEFT JOIN clips USING (trace_id)"
            " GROUP BY trace_id ORDER BY traces.rowid",
            (ClipState.COMMITTED.value,),
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

    def forget_quarantined(self, trace_id: str, first: int, last: int) -> None:
        """Forget refused clips of a trace, and why they were refused."""
        query = "DELETE FROM quarantine WHERE trace_id = ? AND seq BETWEEN ? AND ?"
        self._write(query, (trace_id, first, last))

    def quarantined(self, limit: int = 1000, trace_id: str | None = None) -> list[QuarantinedClip]:
        """Return the latest refused clips, of one trace or of all, oldest first."""
        query = (
            "SELECT * FROM quarantine WHERE ?1 IS NULL OR trace_id = ?1"
            " ORDER BY rowid DESC LIMIT ?2"
        )
        found = self._read(query, (trace_id, limit))
        return [QuarantinedClip(*values) for values in reversed(found)]

    def quarantined_as(self, trace_id: str, seq: int, sha: str) -> QuarantinedClip | None:
        """Return the note of a refused clip with this very body."""
        query = "SELECT * FROM quarantine WHERE trace_id = ? AND seq = ? AND body_sha = ?"
        found = self._read(query, (trace_id, seq, sha))
        return QuarantinedClip(*found[0]) if found else None

    def quarantine_count(self) -> int:
        """Return how many clips were refused."""
        return int(self._read("SELECT COUNT(*) FROM quarantine")[0][0])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make the writes within durable together, or none of them."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._write("BEGIN IMMEDIATE")
            try:
                yield
                self._write("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                self._last_commit = None
                raise

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    def _number_old_tombstones(self) -> None:
        """Give clips withdrawn before withdrawals had numbers theirs."""
        old = self._rows(
            "AS c WHERE state = ? AND NOT EXISTS (SELECT 1 FROM withdrawals AS w"
            ' WHERE w.trace_id = c.trace_id AND w.seq = c.seq) ORDER BY "commit"',
            (ClipState.TOMBSTONED.value,),
        )
        for row in old:
            withdrawal = Withdrawal(row, self.last_commit + 1)
            self.withdraw(row.trace_id, Tombstone(withdrawals=(withdrawal,)))

    def _highest_commit(self) -> int:
        query = (
            'SELECT MAX((SELECT COALESCE(MAX("commit"), 0) FROM clips),'
            ' (SELECT COALESCE(MAX("commit"), 0) FROM withdrawals))'
        )
        return int(self._read(query)[0][0])

    def _rows(self, condition: str, values: tuple[Any, ...]) -> list[ClipRow]:
        return _as_rows(self._read(SELECT + condition, values))

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise _failed(error) from error

    def _write(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        with self._lock:
            try:
                self._connection.execute(statement, values)
            except sqlite3.Error as error:
                raise _failed(error) from error


def _failed(error: sqlite3.Error) -> IndexFailed:
    # Operational errors (full disk, failing disk, locked) are subclasses of DatabaseError, too.
    return IndexFailed(str(error), is_damage=type(error) is sqlite3.DatabaseError)


def _as_rows(found: Iterable[Sequence[Any]]) -> list[ClipRow]:
    return [ClipRow.from_json(dict(zip(COLUMNS, row, strict=True))) for row in found]


def _marks(row: ClipRow) -> str:
    return ", ".join("?" * len(fields(row)))


def _header(text: str) -> TraceHeader:
    return TraceHeader.from_json(json.loads(text))
