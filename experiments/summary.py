"""What happened in a run, read from its files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_collection.storage.store import TraceStore
from data_collection.streaming.spool import Spool
from data_collection.trace import ClipRow, ClipState
from experiments.clocks import largest_skew_s, read_skews
from experiments.lags import clip_paths, known_percentiles
from interactive.record import journal
from interactive.record.checkpoints import CheckpointLibrary
from interactive.record.ledger import Entry, EntryKind, read_ledger
from interactive.record.metrics import MetricsRow, read_metrics
from interactive.record.run_folder import RunFolder
from neuralos.data.mixture import BASE_SOURCE

ENDS_STEPS = 20
"""The first and the last loss are means over so many steps."""


def spool_folder(folder: RunFolder) -> Path:
    """Return where the window of a run keeps the clips that wait for the server."""
    return folder.path / "spool"


def read_rows(path: Path) -> list[ClipRow]:
    """Return the clip rows that reached the trainer (``data.jsonl``)."""
    return [ClipRow.from_json(row) for row in journal.read(path)]


def loss_ends(steps: Sequence[MetricsRow]) -> dict[str, float | None]:
    """Return the mean loss of the first and of the last steps."""
    losses = [step.loss for step in steps]
    if not losses:
        return {"first": None, "last": None}
    return {
        "first": round(float(np.mean(losses[:ENDS_STEPS])), 6),
        "last": round(float(np.mean(losses[-ENDS_STEPS:])), 6),
    }


def interventions(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return the interventions of a ledger, each with its outcome."""
    keys = ("state", "reason", "old", "requested", "effective", "code", "hint")
    return [
        {
            "seq": entry.seq,
            "step": entry.step,
            "branch": entry.branch,
            "command": entry.body["command"]["command"],
            "issuer": entry.body["issuer"],
            **{key: entry.body[key] for key in keys if entry.body.get(key) is not None},
        }
        for entry in entries
        if entry.kind is EntryKind.INTERVENTION
    ]


def branch_names(entries: Sequence[Entry]) -> list[str]:
    """Return the branches of a ledger in the order in which they were opened."""
    return list(dict.fromkeys(["main", *(entry.branch for entry in entries)]))


def newest_picture(folder: RunFolder) -> str | None:
    """Return the path of the newest rollout picture, if there is one."""
    pictures = sorted(folder.rollouts.glob("*.png"), key=lambda path: path.stat().st_mtime)
    return str(pictures[-1]) if pictures else None


def newest_checkpoint(run: Path) -> str | None:
    """Return the folder of the newest whole checkpoint of a run, if there is one."""
    library = CheckpointLibrary(RunFolder(run).checkpoints)
    newest, _ = library.newest_whole()
    return str(library.path(newest.id)) if newest is not None else None


def clip_counts(folder: RunFolder, used: int) -> dict[str, int]:
    """Count the clips of people and of the window's scripted user; no server may run.

    Raises:
        StoreLocked: a server holds the store.
    """
    store = TraceStore.open(folder.traces)
    try:
        counts = [count for count in store.index.counts() if count.source != BASE_SOURCE]
        quarantined = store.index.quarantine_count()
    finally:
        store.close()
    acknowledged = sum(count.clips for count in counts)
    waiting = len(Spool.open(spool_folder(folder)))
    return {
        "sent": acknowledged + quarantined + waiting,
        "acknowledged": acknowledged,
        "used": used,
        "quarantined": quarantined,
        "withdrawn": sum(c.clips for c in counts if c.state is ClipState.TOMBSTONED),
    }


def summarise(folder: RunFolder, url: str) -> dict[str, Any]:
    """Return the object that ``neuralos live --json`` prints."""
    entries = read_ledger(folder.ledger)
    steps = list(read_metrics(folder.metrics))
    rows = read_rows(folder.data)
    skews = read_skews(folder)
    paths = clip_paths(rows, entries, steps, skews)
    live = [
        path for path in paths.values() if path.row.source != BASE_SOURCE and path.row.weight > 0
    ]
    now_s = time.time()
    return {
        "steps": len(steps),
        "loss": loss_ends(steps),
        "clips": clip_counts(folder, sum(bool(path.uses) for path in live)),
        "eligible_lag_s": known_percentiles(path.eligible_lag_s(now_s) for path in live),
        "first_gradient_lag_s": known_percentiles(
            path.first_gradient_lag_s(now_s) for path in live
        ),
        "clock_skew_s": largest_skew_s(skews, {path.row.trace_id for path in live}),
        "interventions": interventions(entries),
        "branches": branch_names(entries),
        "rollout_png": newest_picture(folder),
        "run": str(folder.path),
        "url": url,
    }
