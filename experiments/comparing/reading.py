"""Runs side by side: what their files say, ready for tables and figures."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interactive.record.branch import RunState, failed_seqs
from interactive.record.ledger import Entry, EntryKind, read_ledger
from interactive.record.lineage import line_of, rows_on
from interactive.record.metrics import MetricsRow, json_safe, read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.altered import applied, name_of
from interactive.replaying.counterfactual import TAIL, outcome_of

_TICKS = frozenset({"pause", "resume", "step", "stop", "note", "evaluate", "save_checkpoint"})


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run as it is compared: the line that survived, and the branches that did not."""

    name: str
    path: Path
    entries: Sequence[Entry]
    rows: Sequence[MetricsRow]
    state: RunState
    branch: str
    line: Sequence[MetricsRow]
    config: Mapping[str, Any]
    places: frozenset[tuple[str, int]]
    """The (branch, step) of the line's steps."""

    def has_on_line(self, row: MetricsRow) -> bool:
        """Return whether a step lies on the surviving line."""
        return (row.branch, row.step) in self.places

    @property
    def marked(self) -> list[Entry]:
        """Return the interventions that changed numbers."""
        return [entry for entry in applied(self.entries) if name_of(entry) not in _TICKS]

    def branch_rows(self, branch: str) -> list[MetricsRow]:
        """Return the rows of one branch alone."""
        return [row for row in self.rows if row.branch == branch]


def read_runs(paths: Sequence[Path]) -> list[ComparedRun]:
    """Read run folders; those that share a name are told apart by their parents'.

    Raises:
        RunMissing: a folder holds no run.
        LedgerDamaged, JournalCorrupt: a file was changed after it was written.
    """
    return [_read(path, name) for path, name in zip(paths, _names(paths), strict=True)]


def outcomes(runs: Sequence[ComparedRun], last_step: int | None = None) -> list[dict[str, Any]]:
    """Return a row a run: steps, final and best loss, at its end or at a common step."""
    table = []
    for run in runs:
        row: dict[str, Any] = {"run": run.name, "branch": run.branch, "steps": 0}
        row |= {"final": None, "best": None, "interventions": len(run.marked)}
        if run.line:
            at = last_step if last_step is not None else run.line[-1].step
            found = outcome_of(run.entries, run.rows, run.branch, at, TAIL)
            row |= {"steps": found.steps, "final": found.final, "best": found.best}
        table.append(dict(json_safe(row)))
    return table


def equal_steps(runs: Sequence[ComparedRun]) -> int:
    """Return the last step that every run has reached on its line."""
    return min((run.line[-1].step if run.line else 0 for run in runs), default=0)


def evaluations(runs: Sequence[ComparedRun]) -> list[dict[str, Any]]:
    """Return a row for each measure of each evaluation on the surviving lines."""
    table = []
    for run in runs:
        last = {s.branch: s.last_step for s in line_of(run.state, run.branch)}
        for entry in run.entries:
            if entry.kind is not EntryKind.EVALUATION or entry.branch not in last:
                continue
            limit, step = last[entry.branch], entry.step - 1
            if limit is not None and step > limit:
                continue
            for measure, value in entry.body["measures"].items():
                name = f"{entry.body['evaluation']}.{measure}"
                table.append({"run": run.name, "step": step, "measure": name, "value": value})
    return table


def interventions(runs: Sequence[ComparedRun]) -> list[dict[str, Any]]:
    """Return a row an intervention that changed numbers."""
    return [
        {
            "run": run.name,
            "seq": entry.seq,
            "branch": entry.branch,
            "step": entry.step,
            "command": name_of(entry),
            "issuer": entry.body["issuer"]["name"],
            "effective": entry.body["effective"],
            "reason": entry.body["reason"],
        }
        for run in runs
        for entry in run.marked
    ]


def config_diff(runs: Sequence[ComparedRun]) -> list[dict[str, Any]]:
    """Return a row for each key whose values are not the same in every run."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    table = []
    for key in keys:
        values = {run.name: run.config.get(key) for run in runs}
        if len({json.dumps(value, sort_keys=True) for value in values.values()}) > 1:
            table.append({"key": key, **values})
    return table


def lineage(runs: Sequence[ComparedRun]) -> list[dict[str, Any]]:
    """Return a row a branch: from which checkpoint, and how many steps are its own.

    ``shared`` of a branch that survived is the longest prefix, in steps, that its line
    has bit for bit in common with the line of another run, which ``shared_with`` names.
    """
    table = []
    for run in runs:
        for branch in run.state.branches.values():
            steps = [row.step for row in run.branch_rows(branch.name)]
            fact = run.state.checkpoints.get(branch.checkpoint or "")
            row: dict[str, Any] = {
                "run": run.name,
                "branch": branch.name,
                "parent": fact.branch if fact else None,
                "checkpoint": branch.checkpoint,
                "first_step": steps[0] if steps else None,
                "last_step": steps[-1] if steps else None,
                "survived": branch.name == run.branch,
                "shared": None,
                "shared_with": None,
            }
            if row["survived"]:
                row |= _longest_shared(run, runs)
            table.append(row)
    return table


def _longest_shared(run: ComparedRun, runs: Sequence[ComparedRun]) -> dict[str, Any]:
    shared = {other.name: _shared(run.line, other.line) for other in runs if other is not run}
    name = max(shared, key=lambda one: shared[one], default=None)
    if name is None or shared[name] == 0:
        return {}
    return {"shared": shared[name], "shared_with": name}


def _shared(one: Sequence[MetricsRow], other: Sequence[MetricsRow]) -> int:
    count = 0
    for mine, its in zip(one, other, strict=False):
        if (mine.loss_bits, mine.grad_norm_bits) != (its.loss_bits, its.grad_norm_bits):
            break
        count += 1
    return count


def _read(path: Path, name: str) -> ComparedRun:
    folder = RunFolder.open(path, writable=False)
    entries, rows = read_ledger(folder.ledger), list(read_metrics(folder.metrics))
    # Of a run that goes on, rows may be newer than the entries read before.
    rows = [row for row in rows if row.entries <= len(entries) or not entries]
    state = RunState.of(entries, failed_seqs(entries))
    branch = rows[-1].branch if rows else state.branch
    line = rows_on(rows, line_of(state, branch))
    places = frozenset((row.branch, row.step) for row in line)
    config = _config(folder.config)
    return ComparedRun(name, path, entries, rows, state, branch, line, config, places)


def _config(path: Path) -> dict[str, Any]:
    """Return a configuration as dotted keys; a file that is no TOML has none."""
    text = path.read_text("utf-8")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        try:
            tables = json.loads(text)
        except ValueError:
            return {"config": text}
    return dict(_flat(tables, ""))


def _flat(table: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((prefix + key, value))
    return found


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths that tell them apart."""
    parts = [path.resolve().parts for path in paths]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(one[-depth:]) for one in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{'/'.join(one[-2:])} ({number})" for number, one in enumerate(parts, start=1)]
