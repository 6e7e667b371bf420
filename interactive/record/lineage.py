"""Which steps lie on the line that ends in a branch: shared prefixes, root first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from interactive.record.branch import RunState
from interactive.record.metrics import MetricsRow


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of a branch that lies on a line.

    ``last_step`` and ``last_seq`` are the last step and entry before the checkpoint from
    which the line leaves the branch; None on the branch where the line ends.
    """

    branch: str
    last_step: int | None
    last_seq: int | None


def line_of(state: RunState, branch: str) -> list[Stretch]:
    """Return the stretches of the line that ends in a branch, root first."""
    line = [Stretch(branch, None, None)]
    seen = {branch}
    while (checkpoint := state.branches[line[0].branch].checkpoint) is not None:
        fact = state.checkpoints[checkpoint]
        if fact.branch in seen:
            break
        seen.add(fact.branch)
        line.insert(0, Stretch(fact.branch, fact.step, fact.seq))
    return line


def rows_on(rows: Iterable[MetricsRow], line: Sequence[Stretch]) -> list[MetricsRow]:
    """Return the rows of the steps that lie on a line, in the order of steps."""
    last = {stretch.branch: stretch.last_step for stretch in line}
    found = {}
    for row in rows:
        if row.branch in last:
            limit = last[row.branch]
            if limit is None or row.step <= limit:
                found[row.step] = row
    return [found[step] for step in sorted(found)]
