"""What was an intervention worth? The run again without it, against the run again with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from interactive.record.ledger import Entry
from interactive.record.metrics import json_safe
from interactive.record.run_folder import RunFolder
from interactive.replaying.altered import NEUTRAL, applied, ended, name_of, without
from interactive.replaying.counterfactual import Making, Outcome, Past


def ablate(
    run_dir: Path,
    out: Path,
    *,
    drops: Sequence[Collection[int]] | None = None,
    relative: bool = False,
    seeds: int = 1,
    making: Making | None = None,
) -> list[dict[str, Any]]:
    """Make a run again without some of its interventions, and say what each bought.

    Open loop: whoever steered does not see the other run, every other entry keeps its step
    and its effective value (with ``relative``, numbers keep their ratio of new to old).
    Only the data that had been recorded arrive. Killed and called again with the same
    ``out``, it goes on.

    Args:
        run_dir: the run; it is only read.
        out: a folder; each run that never was becomes a run folder in it.
        drops: sets of seqs, each left out together; if None, each intervention that
            changes numbers is left out once.
        relative: whether ratios are kept rather than values.
        seeds: how many seeds, the run's own first, each with and without.
        making: how runs are made.

    Returns:
        A row for the full run, then one for each drop: ``dropped``, ``what``, ``final``,
        ``best``, ``delta`` (final less that of the full run; above 0 the intervention
        lowered the loss), each with its ``_sd`` over seeds, ``measures``, ``lost``, ``runs``.

    Raises:
        UnknownEntry: a seq is no applied intervention.
        DataLost: a step needs a clip that cannot be read any more.
    """
    making = making or Making()
    past = Past(RunFolder.open(run_dir, writable=False), out)
    named = {entry.seq: entry for entry in applied(past.entries)}
    if drops is None:
        drops = [{seq} for seq, entry in named.items() if name_of(entry) not in NEUTRAL]
    plans = {_name(drop): without(past.entries, drop, past.last_step) for drop in drops}
    full = ended(past.entries, past.branch, past.last_step + 1)
    chosen = past.seeds(seeds)
    baseline = [past.make("full", full, making, seed=seed) for seed in chosen]
    rows = [row_of(past, "full", baseline, baseline, dropped=[], what=[])]
    for drop in drops:
        name, plan = _name(drop), plans[_name(drop)]
        outcomes = [
            past.make(name, plan.entries, making, seed=seed, relative=relative) for seed in chosen
        ]
        ordered = sorted(drop)
        row = row_of(past, name, outcomes, baseline, ordered, [_what(named[s]) for s in ordered])
        known = [{"seq": lost.seq, "why": lost.why} for lost in plan.lost]
        rows.append({**row, "lost": [*known, *row["lost"]]})
    return rows


def row_of(
    past: Past,
    name: str,
    outcomes: Sequence[Outcome],
    baseline: Sequence[Outcome],
    dropped: Sequence[int],
    what: Sequence[str],
) -> dict[str, Any]:
    """Return the row of a table: means over seeds, and how far the seeds lie apart."""
    deltas = [one.final - other.final for one, other in zip(outcomes, baseline, strict=True)]
    own = past.source.info().seed
    row = {
        "name": name,
        "dropped": list(dropped),
        "what": list(what),
        **_spread("final", [one.final for one in outcomes]),
        **_spread("best", [one.best for one in outcomes]),
        **_spread("delta", deltas),
        "steps": outcomes[0].steps,
        "measures": _means([one.measures for one in outcomes]),
        "seeds": [own + more for more in range(len(outcomes))],
        "lost": [{"seq": seq, "why": why} for seq, why in sorted(outcomes[0].lost.items())],
        "runs": [
            str(past.out / (name if more == 0 else f"{name}-seed-{own + more}"))
            for more in range(len(outcomes))
        ],
    }
    return dict(json_safe(row))


def _spread(name: str, values: Sequence[float]) -> dict[str, float | None]:
    return {name: fmean(values), f"{name}_sd": stdev(values) if len(values) > 1 else None}


def _means(measures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean([one[name] for one in measures]) for name in measures[0]}


def _name(drop: Collection[int]) -> str:
    return "without-" + "-".join(map(str, sorted(drop)))


def _what(entry: Entry) -> str:
    return f"{name_of(entry)} at {entry.branch}:{entry.step}"
