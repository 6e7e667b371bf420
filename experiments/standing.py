"""Where a run stands: as its server says, or as its files do where no server runs."""

from __future__ import annotations

import threading
from typing import Any

from experiments.connection import Connection
from experiments.summary import read_rows
from interactive.client import ServerUnreachable
from interactive.policy import Role
from interactive.record.ledger import EntryKind, read_ledger
from interactive.record.metrics import MetricsTail, read_metrics
from interactive.record.run_folder import RunFolder
from neuralos.data.mixture import BASE_SOURCE

KEYS = ("run", "state", "branch", "step", "mark", "lr", "pids", "url", "clips")


def standing(connection: Connection) -> dict[str, Any]:
    """Return the object of ``neuralos ctl status``.

    Raises:
        ServerUnreachable: a server was named and nobody answers there.
    """
    try:
        with connection.client(Role.VIEWER) as client:
            status = client.status()
        found = {key: status[key] for key in KEYS}
        return {**found, "run": str(connection.run or found["run"])}
    except ServerUnreachable:
        if connection.run is None:
            raise
        return _from_files(connection.folder())


def wait_for_training(folder: RunFolder, ended: threading.Event) -> None:
    """Wait until the run has begun to train in this session, or ``ended`` is set."""
    rows = MetricsTail(folder.metrics)
    rows.read_new()
    while not rows.read_new() and not ended.wait(0.1):
        pass


def _from_files(folder: RunFolder) -> dict[str, Any]:
    steps = list(read_metrics(folder.metrics))
    entries = read_ledger(folder.ledger)
    marks = [entry.body["mark"] for entry in entries if entry.kind is EntryKind.MARK]
    # A withdrawal is a row, too: each clip counts once.
    clips = {(row.trace_id, row.seq): row.source for row in read_rows(folder.data)}
    last = steps[-1] if steps else None
    return {
        "run": str(folder.path),
        "state": "stopped" if entries else "waiting",
        "branch": last.branch if last else "main",
        "step": last.step if last else 0,
        "mark": marks[-1] if marks else 0,
        "lr": last.lr if last else None,
        "pids": {"server": None, "trainer": None, "window": None},
        "url": None,
        "clips": {
            "base": sum(source == BASE_SOURCE for source in clips.values()),
            "live": sum(source != BASE_SOURCE for source in clips.values()),
        },
    }
