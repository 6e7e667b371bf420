"""The clips that a run has adopted, and the unbroken runs of frames they form."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from data_collection.trace import ClipRow, ClipState
from neuralos.data.columns import ClipTable, Columns

Run = Sequence[ClipRow]
"""Clips of one trace whose frames follow each other without a gap."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames ``first`` to ``end`` (exclusive), counted within one clip."""

    row: ClipRow
    first: int
    end: int


def is_target(row: ClipRow) -> bool:
    """Say whether a clip's frames may bear a loss."""
    return row.weight > 0 and row.frame_source == "real" and row.state is ClipState.COMMITTED


@dataclass(slots=True)
class _Trace:
    """The clips of one trace by their number, and the runs they form (None: to be found)."""

    clips: dict[int, ClipRow] = field(default_factory=dict)
    last_seq: int = -1
    runs: list[list[ClipRow]] | None = field(default_factory=list)

    def put(self, row: ClipRow) -> list[int]:
        """Add a clip; return the commits of those after it."""
        self.clips[row.seq] = row
        if row.seq > self.last_seq:
            self.last_seq = row.seq
            if self.runs is not None:
                _join(self.runs, row)
            return []
        self.runs = None
        return self._after(row.seq)

    def drop(self, seq: int) -> list[int]:
        """Remove a clip; return the commits of those after it."""
        del self.clips[seq]
        self.runs = None
        return self._after(seq)

    def all_runs(self) -> list[list[ClipRow]]:
        """Return the runs in order."""
        if self.runs is None:
            self.runs = []
            for seq in sorted(self.clips):
                _join(self.runs, self.clips[seq])
        return self.runs

    def _after(self, seq: int) -> list[int]:
        return [clip.commit for other, clip in self.clips.items() if other > seq]


class AdoptedClips:
    """Every clip up to the mark that may be learned from."""

    def __init__(self) -> None:
        self.mark = 0
        self.version = 0
        """Another number after each change of the clips."""
        self._places: dict[int, tuple[str, int]] = {}
        self._traces: dict[str, _Trace] = {}
        self._table = ClipTable()

    def adopt(self, mark: int, rows: Iterable[ClipRow]) -> list[int]:
        """Take rows up to ``mark``; a row that is no target empties its place.

        Returns:
            The commits of the clips that left, and of those that now have other clips
            before them: what is known of them from reading is out of date.
        """
        outdated: list[int] = []
        for row in rows:
            trace = self._traces.setdefault(row.trace_id, _Trace())
            before = trace.clips.get(row.seq)
            if before is not None:
                outdated += self._remove(before)
            if is_target(row):
                outdated += trace.put(row)
                self._places[row.commit] = (row.trace_id, row.seq)
                self._table.add(row)
        self.mark = max(self.mark, mark)
        self.version += 1
        return outdated

    def withdraw(self, commits: Iterable[int]) -> list[int]:
        """Let clips go; those that are not here are passed over.

        Returns:
            As ``adopt``.
        """
        outdated: list[int] = []
        for commit in commits:
            if commit in self._places:
                trace_id, seq = self._places[commit]
                outdated += self._remove(self._traces[trace_id].clips[seq])
        self.version += 1
        return outdated

    def columns(self) -> Columns:
        """Return the clips to learn from as columns, by commit number."""
        return self._table.columns()

    def targets(self) -> Sequence[ClipRow]:
        """Return the clips to learn from, by commit number."""
        return self.columns().rows

    def __len__(self) -> int:
        """Return how many clips may be learned from."""
        return len(self._places)

    def run(self, trace_id: str, frame: int) -> Run:
        """Return the run that holds a frame of a trace; empty if there is none."""
        trace = self._traces.get(trace_id)
        runs = trace.all_runs() if trace else []
        index = bisect_right(runs, frame, key=lambda run: run[0].first_frame) - 1
        return runs[index] if index >= 0 and frame < end_frame(runs[index]) else ()

    def before(self, row: ClipRow) -> Iterator[ClipRow]:
        """Yield the clips of the same run that come before this one, the nearest first."""
        run = self.run(row.trace_id, row.first_frame)
        for index in range(bisect_left(run, row.seq, key=lambda clip: clip.seq) - 1, -1, -1):
            yield run[index]

    def pieces(self, trace_id: str, first_frame: int, count: int) -> list[Piece]:
        """Return where ``count`` frames of one run lie."""
        run = self.run(trace_id, first_frame)
        index = bisect_right(run, first_frame, key=lambda clip: clip.first_frame) - 1
        pieces = []
        frame, end = first_frame, first_frame + count
        while frame < end:
            row = run[index]
            last = min(end, row.first_frame + row.frames)
            pieces.append(Piece(row, frame - row.first_frame, last - row.first_frame))
            frame, index = last, index + 1
        return pieces

    def _remove(self, row: ClipRow) -> list[int]:
        del self._places[row.commit]
        self._table.remove(row)
        return [row.commit, *self._traces[row.trace_id].drop(row.seq)]


def end_frame(run: Run) -> int:
    """Return the index after a run's last frame."""
    return run[-1].first_frame + run[-1].frames


def _join(runs: list[list[ClipRow]], row: ClipRow) -> None:
    """Add a clip that comes after all others to the last run, or begin another."""
    last = runs[-1][-1] if runs else None
    if last and last.seq + 1 == row.seq and last.first_frame + last.frames == row.first_frame:
        runs[-1].append(row)
    else:
        runs.append([row])
