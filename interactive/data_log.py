"""The index rows of the clips that a run may adopt: ``data.jsonl``."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from interactive.journal import JournalWriter, scan, seal, unseal
from interactive.trainer import DataRow


class DataLog:
    """The rows by commit number, read from the file; only offsets are held in memory.

    Opened for writing by the trainer's link, and read-only by a replay.
    """

    def __init__(self, path: Path, commits: list[int], ends: list[int]) -> None:
        """Store the commit numbers and the offset after each one's line; use ``open``."""
        self._path = path
        self._commits = commits
        self._ends = ends
        self._journal: JournalWriter | None = None

    @classmethod
    def open(cls, path: Path, *, writable: bool = False) -> DataLog:
        """Open the file, or make it when it is to be written; a torn last line is cut.

        Raises:
            JournalCorrupt: a line before the last one is damaged.
        """
        journal = JournalWriter.open(path) if writable else None
        commits, ends = [], []
        for obj, end in scan(path):
            commits.append(int(obj["commit"]))
            ends.append(end)
        log = cls(path, commits, ends)
        log._journal = journal
        return log

    @property
    def head(self) -> int:
        """Return the highest commit number that is durable here; 0 before the first."""
        return self._commits[-1] if self._commits else 0

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
        for (commit, _), line in zip(fresh, lines, strict=True):
            end += len(line)
            self._ends.append(end)
            self._commits.append(commit)

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
            found.append(DataRow(int(body["commit"]), body))
        return found

    def close(self) -> None:
        """Close the file."""
        if self._journal is not None:
            self._journal.close()
