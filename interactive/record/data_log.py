"""The index rows of the clips that a run may adopt: ``data.jsonl``."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interactive.record.journal import JournalWriter, scan, seal, unseal
from interactive.trainer import DataRow

TOMBSTONED = "tombstoned"
"""The ``state`` of a row that withdraws a clip."""


class DataLog:
    """The rows by commit number, read from the file; offsets and places are held in memory.

    Of a row's body this package knows ``trace_id`` and ``seq``, the place of a clip, and
    ``state``: a ``tombstoned`` row withdraws the clip that came before it in its place.

    Opened for writing by the trainer's link, and read-only by a replay.
    """

    def __init__(self, path: Path, journal: JournalWriter | None) -> None:
        """Store the path, and the file if it is to be written; use ``open``."""
        self._path = path
        self._journal = journal
        self._commits: list[int] = []
        self._ends: list[int] = []
        self._places: dict[str, dict[int, int]] = {}
        self._withdraws: dict[int, int] = {}

    @classmethod
    def open(cls, path: Path, *, writable: bool = False) -> DataLog:
        """Open the file, or make it when it is to be written; a torn last line is cut.

        Raises:
            JournalCorrupt: a line before the last one is damaged.
        """
        journal = JournalWriter.open(path) if writable else None
        log = cls(path, journal)
        for obj, end in scan(path):
            log._note(int(obj["commit"]), obj, end)
        return log

    @property
    def head(self) -> int:
        """Return the highest commit number that is durable here; 0 before the first."""
        return self._commits[-1] if self._commits else 0

    @property
    def withdrawn(self) -> frozenset[int]:
        """Return the commit numbers of the clips that later rows withdraw."""
        return frozenset(self._withdraws.values())

    def append(self, rows: Sequence[DataRow]) -> None:
        """Make rows durable; those that are here already are left out.

        Raises:
            OSError: none of them was written.
        """
        if self._journal is None:
            raise ValueError(f"{self._path} is open for reading only")
        fresh = sorted({r.commit: r for r in rows if r.commit > self.head}.items())
        lines = [seal({**row.body, "commit": commit}) for commit, row in fresh]
        if not lines:
            return
        self._journal.write(b"".join(lines), durable=True)
        end = self._ends[-1] if self._ends else 0
        for (commit, row), line in zip(fresh, lines, strict=True):
            end += len(line)
            self._note(commit, row.body, end)

    def rows(self, after: int, upto: int) -> list[DataRow]:
        """Return the rows with ``after`` < commit ≤ ``upto``.

        Raises:
            LookupError: ``upto`` is not here.
        """
        first, last = bisect_right(self._commits, after), bisect_right(self._commits, upto)
        if upto and (last == 0 or self._commits[last - 1] != upto):
            raise LookupError(f"{self._path} does not hold commit {upto}")
        if first >= last:
            return []
        start = self._ends[first - 1] if first else 0
        with open(self._path, "rb") as file:
            file.seek(start)
            lines = file.read(self._ends[last - 1] - start).splitlines(keepends=True)
        found = []
        for line in lines:
            body = unseal(line)
            if body is None:
                raise LookupError(f"{self._path} was changed after it was written")
            commit = int(body["commit"])
            found.append(DataRow(commit, body, self._withdraws.get(commit)))
        return found

    def close(self) -> None:
        """Close the file."""
        if self._journal is not None:
            self._journal.close()

    def _note(self, commit: int, body: Mapping[str, Any], end: int) -> None:
        self._ends.append(end)
        if "trace_id" in body and "seq" in body:
            clips = self._places.setdefault(str(body["trace_id"]), {})
            seq = int(body["seq"])
            if body.get("state") != TOMBSTONED:
                clips[seq] = commit
            elif seq in clips:
                self._withdraws[commit] = clips[seq]
        # Last, because the head that other threads look at follows from it.
        self._commits.append(commit)
