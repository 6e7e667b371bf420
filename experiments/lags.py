"""From the last frame of a clip to the step that learned from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from data_collection.trace import ClipRow
from interactive.ledger import Entry, EntryKind
from interactive.metrics import MetricsRow


@dataclass(slots=True)
class ClipPath:
    """How a committed clip went through a run.

    ``mark_step`` is the first step that could have drawn it, ``uses`` the
    (branch, step) pairs whose loss had its frames, in the order in which they ran.
    """

    row: ClipRow
    mark_step: int | None = None
    marked_wall_s: float | None = None
    uses: list[tuple[str, int]] = field(default_factory=list)
    first_gradient_wall_s: float | None = None

    @property
    def first_gradient_step(self) -> int | None:
        """Return the first step that learned from the clip."""
        return self.uses[0][1] if self.uses else None

    def eligible_lag_s(self, now_wall_s: float) -> float:
        """Return the seconds from the last frame to the adopted mark (or to now)."""
        return (self.marked_wall_s or now_wall_s) - self.row.captured_wall_s

    def first_gradient_lag_s(self, now_wall_s: float) -> float:
        """Return the seconds from the last frame to the end of the first step that used it.

        A clip that no step has used yet counts with its age so far.
        """
        return (self.first_gradient_wall_s or now_wall_s) - self.row.captured_wall_s


def clip_paths(
    rows: Iterable[ClipRow], entries: Iterable[Entry], steps: Iterable[MetricsRow]
) -> dict[int, ClipPath]:
    """Follow every clip through ledger and metrics.

    Args:
        rows: the clips that reached the trainer (``data.jsonl``).
        entries: the ledger.
        steps: the rows of ``metrics.jsonl``.

    Returns:
        The path of each clip by its commit number.
    """
    paths = {row.commit: ClipPath(row) for row in rows}
    ordered = sorted(paths)
    adopted = 0
    for entry in entries:
        if entry.kind is not EntryKind.MARK or entry.body["mark"] <= adopted:
            continue
        mark = int(entry.body["mark"])
        for commit in ordered[np.searchsorted(ordered, adopted, side="right") :]:
            if commit > mark:
                break
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


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """Return p50 and p95 of some seconds; ``None`` where there are none."""
    if not values:
        return {"p50": None, "p95": None}
    p50, p95 = np.percentile(np.asarray(values, dtype=np.float64), [50, 95])
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}
