"""The clips to learn from as columns of numbers, so that a mark costs no loop over all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from data_collection.trace import ClipRow

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows by commit number, and what chances follow from; entry i of each is clip i.

    ``source`` and ``trace`` are labels given in the order of first sight: ``sources`` names
    the first, ``traces`` counts the second. Labels may differ after a restart, so nothing
    that is drawn may depend on their order.
    """

    rows: Sequence[ClipRow]
    commit: Ints
    weight: Ints
    frames: Ints
    source: Ints
    trace: Ints
    sources: Sequence[str]
    traces: int


@dataclass(slots=True)
class ClipTable:
    """Keeps the columns of a changing set of clips; changes are taken in when asked for."""

    _rows: list[ClipRow] = field(default_factory=list)
    _numbers: Ints = field(default_factory=lambda: np.zeros((5, 0), dtype=np.int64))
    _sources: dict[str, int] = field(default_factory=dict)
    _traces: dict[str, int] = field(default_factory=dict)
    _added: dict[int, ClipRow] = field(default_factory=dict)
    _removed: set[int] = field(default_factory=set)

    def add(self, row: ClipRow) -> None:
        """Take a clip in; its commit number is not here."""
        self._added[row.commit] = row

    def remove(self, row: ClipRow) -> None:
        """Let a clip go that is here."""
        if self._added.pop(row.commit, None) is None:
            self._removed.add(row.commit)

    def columns(self) -> Columns:
        """Return the columns of all clips, by commit number."""
        if self._removed:
            self._drop(self._removed)
        if self._added:
            self._append(self._added.values())
        self._added, self._removed = {}, set()
        commit, weight, frames, source, trace = self._numbers
        sources, traces = tuple(self._sources), len(self._traces)
        return Columns(self._rows, commit, weight, frames, source, trace, sources, traces)

    def _drop(self, commits: Collection[int]) -> None:
        kept = ~np.isin(self._numbers[0], list(commits))
        self._numbers = self._numbers[:, kept]
        self._rows = [self._rows[index] for index in np.flatnonzero(kept)]

    def _append(self, rows: Collection[ClipRow]) -> None:
        new = [
            (
                row.commit,
                row.weight,
                row.frames,
                self._sources.setdefault(row.source, len(self._sources)),
                self._traces.setdefault(row.trace_id, len(self._traces)),
            )
            for row in rows
        ]
        numbers = np.concatenate((self._numbers, np.array(new, dtype=np.int64).T), axis=1)
        together = [*self._rows, *rows]
        commits = numbers[0]
        if np.any(commits[1:] < commits[:-1]):
            order = np.argsort(commits)
            numbers, together = numbers[:, order], [together[index] for index in order]
        self._numbers, self._rows = numbers, together
