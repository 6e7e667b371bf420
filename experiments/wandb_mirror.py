"""A process of its own that copies a run's ledger and metrics into Weights & Biases.

One W&B run per branch, grouped by the run folder. It only reads; when it dies, or W&B is
out of reach, training does not notice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wandb

from interactive.journal import JournalTail
from interactive.ledger import Entry, EntryKind
from interactive.metrics import number
from interactive.run_folder import RunFolder

PROJECT = "interactive-training"
INTERVENTION_COLUMNS = [
    "seq", "step", "command", "issuer", "kind", "state", "old", "requested", "effective",
    "reason", "hint",
]  # fmt: skip


class BranchRun:
    """The W&B run of one branch."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self._effective: dict[str, float] = {}
        self._interventions: list[list[Any]] = []

    def log_step(self, row: dict[str, Any]) -> None:
        """Log one row of the metrics, with the values under control on every row."""
        values = {name: number(row[name]) for name in ("loss", "grad_norm", "lr")}
        values |= {f"time/{name}": value for name, value in row["timings_s"].items()}
        values |= {f"train/{name}": number(value) for name, value in row["extra"].items()}
        values["data/mark"] = row["mark"]
        self._effective["control/lr"] = number(row["lr"])
        self._run.log(values | self._effective, step=row["step"])

    def log_intervention(self, entry: Entry) -> None:
        """Log an intervention as an event, its effective numbers, and a row of the table."""
        body = entry.body
        name = body["command"]["command"]
        for key, value in (body.get("effective") or {}).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._effective[f"control/{key}"] = float(value)
        as_text = [json.dumps(body.get(key)) for key in ("old", "requested", "effective")]
        issuer = body["issuer"]
        self._interventions.append(
            [entry.seq, entry.step, name, issuer["name"], issuer["kind"], body["state"]]
            + as_text
            + [body.get("reason", ""), body.get("hint", "")]
        )
        table = wandb.Table(columns=INTERVENTION_COLUMNS, data=list(self._interventions))
        event = {"control/event": entry.seq, "control/interventions": table}
        self._run.log(event | self._effective, step=entry.step)

    def log_evaluation(self, entry: Entry, folder: Path) -> None:
        """Log an evaluation's numbers and its picture."""
        body = entry.body
        name = body["evaluation"]
        values: dict[str, Any] = {
            f"eval/{name}/{key}": number(value) for key, value in body["measures"].items()
        }
        picture = folder / body["picture"] if body["picture"] else None
        if picture is not None and picture.is_file():
            values[f"rollout/{name}"] = wandb.Image(str(picture))
        self._run.log(values, step=max(entry.step - 1, 0))

    def finish(self) -> None:
        """End the W&B run."""
        self._run.finish(quiet=True)


class Mirror:
    """Follows a run folder and keeps one open W&B run, that of the present branch."""

    def __init__(self, folder: RunFolder, mode: str) -> None:
        self._folder = folder
        self._mode = mode
        self._ledger = JournalTail(folder.ledger)
        self._metrics = JournalTail(folder.metrics)
        self._branch = ""
        self._run: BranchRun | None = None

    def _on(self, branch: str) -> BranchRun:
        if self._run is not None and branch == self._branch:
            return self._run
        if self._run is not None:
            self._run.finish()
        group = self._folder.path.name
        self._folder.wandb.mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project=PROJECT,
            group=group,
            job_type="train",
            name=f"{group}/{branch}",
            id=f"{self._folder.run_id}-{branch}",
            resume="allow",
            mode=self._mode,
            dir=self._folder.path,
            config=self._folder.config(),
            settings=wandb.Settings(silent=True, console="off"),
        )
        run.define_metric("*", step_metric="_step")
        self._branch, self._run = branch, BranchRun(run)
        return self._run

    def _pending(self) -> list[tuple[float, Callable[[], None]]]:
        work: list[tuple[float, Callable[[], None]]] = []
        for row in self._metrics.read_new():
            work.append((row["wall_s"], lambda row=row: self._on(row["branch"]).log_step(row)))
        for fields in self._ledger.read_new():
            entry = Entry.from_json(fields)
            if entry.kind is EntryKind.INTERVENTION:
                log = lambda e=entry: self._on(e.branch).log_intervention(e)  # noqa: E731
            elif entry.kind is EntryKind.EVALUATION:
                log = lambda e=entry: self._on(e.branch).log_evaluation(e, self._folder.path)  # noqa: E731
            else:
                continue
            work.append((entry.wall_s, log))
        return sorted(work, key=lambda item: item[0])

    def catch_up(self) -> None:
        """Log everything that the run wrote since the last call, in the order it happened."""
        for _, log in self._pending():
            log()

    def close(self) -> None:
        """Log the rest and end."""
        self.catch_up()
        if self._run is not None:
            self._run.finish()


def mirror(folder: RunFolder, mode: str, stopped: Callable[[float], bool]) -> None:
    """Follow a run until ``stopped(seconds to wait)`` says so.

    Args:
        folder: the run.
        mode: ``offline`` or ``online``.
        stopped: waits at most the seconds it is given and says whether to end.
    """
    follower = Mirror(folder, mode)
    while not stopped(2.0):
        follower.catch_up()
    follower.close()
