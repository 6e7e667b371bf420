"""From the last frame of a clip to the step that learned from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from data_collection.trace import ClipRow, ClipState
from experiments.clocks import sure_skew_s
from interactive.record.ledger import Entry, EntryKind
from interactive.record.metrics import MetricsRow


@dataclass(slots=True)
class ClipPath:
    """How a committed clip went through a run.

    ``mark_step`` is the first step that could have drawn it, ``uses`` the
    (branch, step) pairs whose loss had its frames, in the order in which they ran.
    ``withdrawn_step`` is the first step that could not draw it any more. A clip that
    ``is_withdrawn`` without one left before it was adopted. ``skew_s`` is what to add to
    its window's clock to have the server's.
    """

    row: ClipRow
    skew_s: float = 0.0
    mark_step: int | None = None
    marked_wall_s: float | None = None
    uses: list[tuple[str, int]] = field(default_factory=list)
    first_gradient_wall_s: float | None = None
    withdrawn_step: int | None = None
    is_withdrawn: bool = False

    @property
    def captured_wall_s(self) -> float:
        """Return when its last frame was shown; never later than it was acknowledged."""
        captured_s = self.row.captured_wall_s + sure_skew_s(self.skew_s)
        return min(captured_s, self.row.acknowledged_wall_s)

    @property
    def first_gradient_step(self) -> int | None:
        """Return the first step that learned from the clip."""
        return self.uses[0][1] if self.uses else None

    def eligible_lag_s(self, now_wall_s: float) -> float | None:
        """Return the seconds from the last frame to the adopted mark (or to now).

        None for a clip that was withdrawn before.
        """
        return self._lag_s(self.marked_wall_s, now_wall_s)

    def first_gradient_lag_s(self, now_wall_s: float) -> float | None:
        """Return the seconds from the last frame to the end of the first step that used it.

        A clip that no step has used yet counts with its age so far. None for a clip that
        was withdrawn before one did: it would count for ever.
        """
        return self._lag_s(self.first_gradient_wall_s, now_wall_s)

    def _lag_s(self, reached_wall_s: float | None, now_wall_s: float) -> float | None:
        if reached_wall_s is None and self.is_withdrawn:
            return None
        return (reached_wall_s or now_wall_s) - self.captured_wall_s


def clip_paths(
    rows: Iterable[ClipRow],
    entries: Iterable[Entry],
    steps: Iterable[MetricsRow],
    skews: Mapping[str, float] | None = None,
) -> dict[int, ClipPath]:
    """Follow every clip through ledger and metrics.

    Args:
        rows: the clips, and the withdrawals of clips, that reached the trainer
            (``data.jsonl``).
        entries: the ledger.
        steps: the rows of ``metrics.jsonl``.
        skews: by trace, what to add to its window's clock.

    Returns:
        The path of each clip by its commit number.
    """
    paths, withdrawn_by = _paths_of(rows, skews or {})
    ordered = sorted(paths)
    adopted = 0
    for entry in entries:
        if entry.kind is EntryKind.WITHDRAWAL:
            for commit in entry.body["withdrawn"]:
                if commit in paths and paths[commit].withdrawn_step is None:
                    paths[commit].withdrawn_step = entry.step
                    paths[commit].is_withdrawn = True
        if entry.kind is not EntryKind.MARK or entry.body["mark"] <= adopted:
            continue
        mark = int(entry.body["mark"])
        first, last = np.searchsorted(ordered, [adopted, mark], side="right")
        for commit in ordered[first:last]:
            if withdrawn_by.get(commit, mark + 1) > mark:
                paths[commit].mark_step = entry.step
                paths[commit].marked_wall_s = entry.wall_s
        adopted = mark
    for step in steps:
        for commit in step.commits:
            path = paths.get(commit)
            if path is None:
                continue
            if not path.uses:
                path.first_gradient_wall_s = step.wall_s
            path.uses.append((step.branch, step.step))
    return paths


def _paths_of(
    rows: Iterable[ClipRow], skews: Mapping[str, float]
) -> tuple[dict[int, ClipPath], dict[int, int]]:
    """Return the clips' paths, and by which commit each was withdrawn."""
    places: dict[tuple[str, int], ClipPath] = {}
    withdrawn_by: dict[int, int] = {}
    for row in rows:
        place = (row.trace_id, row.seq)
        is_withdrawal = row.state is ClipState.TOMBSTONED
        if place not in places:
            places[place] = ClipPath(row, skew_s=skews.get(row.trace_id, 0.0))
        if is_withdrawal:
            path = places[place]
            path.is_withdrawn = True
            withdrawn_by.setdefault(path.row.commit, row.commit)
    return {path.row.commit: path for path in places.values()}, withdrawn_by


def known_percentiles(values: Iterable[float | None]) -> dict[str, float | None]:
    """Return p50 and p95 of the seconds that are known."""
    return percentiles([value for value in values if value is not None])


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """Return p50 and p95 of some seconds; ``None`` where there are none."""
    if not values:
        return {"p50": None, "p95": None}
    p50, p95 = np.percentile(np.asarray(values, dtype=np.float64), [50, 95])
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}
