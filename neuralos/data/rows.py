"""The clips that a run has adopted, and the unbroken runs of frames they form."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from data_collection.trace import ClipRow, ClipState

Run = tuple[ClipRow, ...]
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


class AdoptedClips:
    """Every clip up to the mark that may be learned from."""

    def __init__(self) -> None:
        self.mark = 0
        self._rows: dict[int, ClipRow] = {}
        self._traces: dict[str, dict[int, ClipRow]] = {}
        self._runs: dict[str, list[Run]] = {}

    def adopt(self, mark: int, rows: Iterable[ClipRow]) -> list[int]:
        """Take rows up to ``mark``; a row that no longer is a target leaves the data.

        Returns:
            The commits of clips that were here and now have other clips before them.
        """
        disturbed: list[int] = []
        for row in rows:
            clips = self._traces.setdefault(row.trace_id, {})
            disturbed += [clip.commit for seq, clip in clips.items() if seq > row.seq]
            if is_target(row):
                self._rows[row.commit] = row
                clips[row.seq] = row
            else:
                self._rows.pop(row.commit, None)
                clips.pop(row.seq, None)
            self._runs.pop(row.trace_id, None)
        self.mark = max(self.mark, mark)
        return disturbed

    def targets(self) -> Sequence[ClipRow]:
        """Return the clips to learn from, by commit number."""
        return [self._rows[commit] for commit in sorted(self._rows)]

    def __len__(self) -> int:
        """Return how many clips may be learned from."""
        return len(self._rows)

    def run(self, trace_id: str, frame: int) -> Run:
        """Return the run that holds a frame of a trace; empty if there is none."""
        for run in self._trace_runs(trace_id):
            if run[0].first_frame <= frame < end_frame(run):
                return run
        return ()

    def before(self, row: ClipRow) -> Run:
        """Return the clips of the same run that come before this one, in order."""
        run = self.run(row.trace_id, row.first_frame)
        return tuple(clip for clip in run if clip.seq < row.seq)

    def pieces(self, trace_id: str, first_frame: int, count: int) -> list[Piece]:
        """Return where ``count`` frames of one run lie."""
        run = self.run(trace_id, first_frame)
        index = bisect_right([row.first_frame for row in run], first_frame) - 1
        pieces = []
        frame, end = first_frame, first_frame + count
        while frame < end:
            row = run[index]
            last = min(end, row.first_frame + row.frames)
            pieces.append(Piece(row, frame - row.first_frame, last - row.first_frame))
            frame, index = last, index + 1
        return pieces

    def _trace_runs(self, trace_id: str) -> list[Run]:
        if trace_id not in self._runs:
            clips = self._traces.get(trace_id, {})
            self._runs[trace_id] = _split([clips[seq] for seq in sorted(clips)])
        return self._runs[trace_id]


def end_frame(run: Run) -> int:
    """Return the index after a run's last frame."""
    return run[-1].first_frame + run[-1].frames


def _split(rows: Sequence[ClipRow]) -> list[Run]:
    runs: list[list[ClipRow]] = []
    for row in rows:
        last = runs[-1][-1] if runs else None
        if last and last.seq + 1 == row.seq and last.first_frame + last.frames == row.first_frame:
            runs[-1].append(row)
        else:
            runs.append([row])
    return [tuple(run) for run in runs]
