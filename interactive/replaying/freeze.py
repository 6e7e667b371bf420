"""The ledger turned into a static schedule: was steering needed, or only what it found?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interactive.record.branch import MAIN, RunState, failed_seqs
from interactive.record.durable import write_whole
from interactive.record.ledger import Entry, EntryKind
from interactive.record.lineage import Stretch, line_of, rows_on
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.ablate import row_of
from interactive.replaying.altered import NEUTRAL, applied, ended, intervention_at, name_of
from interactive.replaying.counterfactual import Making, Past
from interactive.replaying.report import compare_passes

SCHEDULE = "schedule.toml"
_DATA = (EntryKind.MARK, EntryKind.WITHDRAWAL)


@dataclass(frozen=True, slots=True)
class Change:
    """One command of the schedule, before a step; ``seqs`` are the entries it comes from."""

    step: int
    command: Mapping[str, Any]
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """What the surviving line of a run ran under, on one branch from step 0.

    ``data`` are the marks and withdrawals of that line: data arrive whoever steers.
    """

    changes: tuple[Change, ...]
    data: tuple[Entry, ...]

    def entries(self, last_step: int, *, with_changes: bool = True) -> list[Entry]:
        """Return the ledger of a run under it."""
        moved = [replace(entry, branch=MAIN) for entry in self.data]
        if with_changes:
            moved += [intervention_at(c.step, dict(c.command)) for c in self.changes]
            seqs = [*(e.seq for e in self.data), *(c.seqs[-1] for c in self.changes)]
            order = sorted(range(len(moved)), key=lambda at: (moved[at].step, seqs[at]))
            moved = [moved[at] for at in order]
        return ended(moved, MAIN, last_step + 1)

    def to_toml(self, run: Path, steps: int) -> str:
        """Return the schedule as a TOML document for people and programs."""
        lines = [
            f"# What {run.name} ran under on the line that survived, as a static schedule.",
            "# A change holds from its step on, until another one of the same thing.",
            f"steps = {steps}",
        ]
        for change in self.changes:
            arguments = {k: v for k, v in change.command.items() if k != "command"}
            lines += ["", "[[change]]", f"step = {change.step}"]
            lines += [f"command = {_toml(change.command['command'])}"]
            lines += [f"{name} = {_toml(value)}" for name, value in arguments.items()]
            lines += [f"from_ledger = {_toml(list(change.seqs))}"]
        return "\n".join(lines) + "\n"


def schedule_of(entries: Sequence[Entry], branch: str) -> Schedule:
    """Return the static schedule of the line that ends in a branch.

    Of each stretch of the line, the interventions that changed numbers before the
    checkpoint from which the line went on; neighbours at one step that set the same things
    are one change. What was undone by going back to a checkpoint is not part of it.
    """
    line = line_of(RunState.of(entries, failed_seqs(entries)), branch)
    kept = {stretch.branch: stretch for stretch in line}
    failed = failed_seqs(entries)
    there = [e for e in entries if e.seq not in failed and _is_on(e, kept)]
    numbers = {e.seq for e in applied(entries)}
    changes: list[Change] = []
    is_neighbour = False
    for entry in there:
        is_neighbour = is_neighbour and entry.kind not in _DATA
        if entry.seq in numbers and name_of(entry) not in {*NEUTRAL, "load_checkpoint"}:
            change = Change(entry.step, entry.body["command"], (entry.seq,))
            merged = _merged(changes[-1], change) if is_neighbour else None
            is_neighbour = True
            changes[-1:] = [merged] if merged else [*changes[-1:], change]
    return Schedule(tuple(changes), tuple(e for e in there if e.kind in _DATA))


def freeze(
    run_dir: Path, out: Path, *, seeds: int = 1, making: Making | None = None
) -> dict[str, Any]:
    """Write a run's static schedule, and run it from step 0 beside the run and beside nothing.

    Args:
        run_dir: the run; it is only read.
        out: a folder for the schedule and three run folders a seed.
        seeds: how many seeds, the run's own first.
        making: how runs are made.

    Returns:
        ``schedule`` (a file), ``rows`` for ``steered`` (every entry again, branches and
        all), ``frozen`` and ``untouched`` (no intervention; the same data), ``delta`` against
        steered; ``identical`` of ``steps`` steps from the first on are bit for bit those of
        the surviving line.

    Raises:
        DataLost: a step needs a clip that cannot be read any more.
    """
    making = making or Making()
    past = Past(RunFolder.open(run_dir, writable=False), out)
    schedule = schedule_of(past.entries, past.branch)
    write_whole(out / SCHEDULE, schedule.to_toml(past.source.path.resolve(), past.last_step))
    ledgers = {
        "steered": ended(past.entries, past.branch, past.last_step + 1),
        "frozen": schedule.entries(past.last_step),
        "untouched": schedule.entries(past.last_step, with_changes=False),
    }
    outcomes = {
        name: [past.make(name, ledger, making, seed=seed) for seed in past.seeds(seeds)]
        for name, ledger in ledgers.items()
    }
    everything = [entry.seq for entry in applied(past.entries)]
    used = {seq for change in schedule.changes for seq in change.seqs}
    dropped = {
        "steered": [],
        "frozen": [seq for seq in everything if seq not in used],
        "untouched": everything,
    }
    rows = [
        row_of(past, name, made, outcomes["steered"], dropped[name], [])
        for name, made in outcomes.items()
    ]
    return {
        "schedule": str(out / SCHEDULE),
        "changes": len(schedule.changes),
        "rows": rows,
        "steps": past.last_step,
        "identical": _identical(past, out / "frozen"),
    }


def _identical(past: Past, frozen: Path) -> int:
    """Count the steps that the frozen run shares with the surviving line, from the first on."""
    state = RunState.of(past.entries, failed_seqs(past.entries))
    line = rows_on(past.rows, line_of(state, past.branch))
    made = list(read_metrics(RunFolder(frozen).metrics))
    renamed = [replace(row, branch=MAIN, entries=0) for row in line]
    return compare_passes(renamed, [replace(row, entries=0) for row in made])[0]


def _is_on(entry: Entry, line: Mapping[str, Stretch]) -> bool:
    stretch = line.get(entry.branch)
    if stretch is None:
        return False
    return stretch.last_seq is None or entry.seq < stretch.last_seq


def _merged(one: Change, other: Change) -> Change | None:
    """Return two neighbours as one change, or None where they are about different things."""
    mine, its = dict(one.command), dict(other.command)
    if one.step != other.step or mine["command"] != its["command"]:
        return None
    match mine["command"]:
        case "update_optimizer" if mine.get("group") == its.get("group"):
            command = {**mine, **its}
        case "update_mixture" if "drop" not in mine and "drop" not in its:
            nested = {
                name: {**mine[name], **value}
                for name, value in its.items()
                if isinstance(value, dict) and isinstance(mine.get(name), dict)
            }
            command = {**mine, **its, **nested}
        case "update_setting" if mine["setting"] == its["setting"]:
            command = its
        case _:
            return None
    return Change(one.step, command, (*one.seqs, *other.seqs))


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        items = (f"{json.dumps(str(name))} = {_toml(item)}" for name, item in value.items())
        return "{ " + ", ".join(items) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value) if isinstance(value, str) else repr(value)
