"""A process of its own that copies a run's ledger and metrics into Weights & Biases.

One W&B run per branch, grouped by the run folder. It only reads; when it dies, or W&B is
out of reach, training does not notice.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import wandb

from interactive.record.journal import JournalTail
from interactive.record.ledger import Entry, EntryKind
from interactive.record.metrics import MetricsRow, MetricsTail
from interactive.record.run_folder import RunFolder

PROJECT = "interactive-training"
Mode = Literal["offline", "online"]
COLUMNS = [
    "seq", "step", "command", "issuer", "kind", "state", "old", "requested", "effective",
    "reason", "hint",
]  # fmt: skip


class BranchRun:
    """The W&B run of one branch."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self._effective: dict[str, float] = {}
        self._interventions: list[list[Any]] = []

    def log_step(self, row: MetricsRow) -> None:
        """Log one step, with the values under control on every row."""
        values = {"loss": row.loss, "grad_norm": row.grad_norm, "lr": row.lr}
        values |= {f"time/{name}": value for name, value in row.timings_s.items()}
        values |= {f"train/{name}": value for name, value in row.extra.items()}
        self._effective["control/lr"] = row.lr
        self._run.log(values | {"data/mark": row.mark} | self._effective, step=row.step)

    def log_intervention(self, entry: Entry) -> None:
        """Log an intervention as an event, its effective numbers, and a row of the table."""
        body = entry.body
        for key, value in (body.get("effective") or {}).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._effective[f"control/{key}"] = float(value)
        changes = [json.dumps(body.get(key)) for key in ("old", "requested", "effective")]
        issuer = body["issuer"]
        self._interventions.append(
            [
                *(entry.seq, entry.step, body["command"]["command"]),
                *(issuer["name"], issuer["kind"], body["state"]),
                *changes,
                *(body.get("reason", ""), body.get("hint") or ""),
            ]
        )
        table = wandb.Table(columns=COLUMNS, data=list(self._interventions))
        event = {"control/event": entry.seq, "control/interventions": table}
        self._run.log(event | self._effective, step=entry.step)

    def log_evaluation(self, entry: Entry, folder: Path) -> None:
        """Log an evaluation's numbers and its picture."""
        name, picture = entry.body["evaluation"], entry.body["picture"]
        values: dict[str, Any] = {
            f"eval/{name}/{key}": float(value) for key, value in entry.body["measures"].items()
        }
        if picture and (folder / picture).is_file():
            values[f"rollout/{name}"] = wandb.Image(str(folder / picture))
        self._run.log(values, step=max(entry.step - 1, 0))

    def finish(self) -> None:
        """End the W&B run."""
        self._run.finish()


class Mirror:
    """Follows a run folder and keeps one open W&B run, that of the present branch."""

    def __init__(self, folder: RunFolder, mode: Mode) -> None:
        self._folder = folder
        self._mode = mode
        self._ledger = JournalTail(folder.ledger)
        self._metrics = MetricsTail(folder.metrics)
        self._branch = ""
        self._run: BranchRun | None = None

    def catch_up(self) -> None:
        """Log everything that the run wrote since the last call, in the order it happened."""
        facts: list[MetricsRow | Entry] = list(self._metrics.read_new())
        facts += [Entry.from_json(fields) for fields in self._ledger.read_new()]
        for fact in sorted(facts, key=lambda fact: fact.wall_s):
            if isinstance(fact, MetricsRow):
                self._on(fact.branch).log_step(fact)
            elif fact.kind is EntryKind.INTERVENTION:
                self._on(fact.branch).log_intervention(fact)
            elif fact.kind is EntryKind.EVALUATION:
                self._on(fact.branch).log_evaluation(fact, self._folder.path)

    def close(self) -> None:
        """Log the rest and end."""
        self.catch_up()
        if self._run is not None:
            self._run.finish()

    def _on(self, branch: str) -> BranchRun:
        if self._run is not None and branch == self._branch:
            return self._run
        if self._run is not None:
            self._run.finish()
        name = self._folder.path.resolve().name
        self._folder.wandb.mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project=PROJECT,
            group=name,
            job_type="train",
            name=f"{name}/{branch}",
            id=f"{name}-{branch}",
            resume="allow",
            mode=self._mode,
            dir=self._folder.path,
            config=tomllib.loads(self._folder.config.read_text("utf-8")),
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._branch, self._run = branch, BranchRun(run)
        return self._run


def mirror(folder: RunFolder, mode: Mode, wait: Callable[[float], bool]) -> None:
    """Follow a run until it is time to end.

    Args:
        folder: the run.
        mode: ``offline`` or ``online``.
        wait: waits at most the seconds it is given and says whether to end.
    """
    follower = Mirror(folder, mode)
    while not wait(2.0):
        follower.catch_up()
    follower.close()
