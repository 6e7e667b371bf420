"""Does a run that was steered in every way replay bit for bit, and is a moved entry found?

python benchmarks/steered_replay.py --json

A simulator trains for ``--steps`` steps under the real server and trainer, while a scripted
user sends clips. Interventions of every kind come at their steps; one opens a branch. Then the
run is replayed, and once more under ledgers in which one intervention stands a step later.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from report import circumstances
from rich.console import Console
from rich.table import Table

from interactive.client import RunClient, ServerUnreachable
from interactive.policy import Role
from interactive.record.ledger import Entry, EntryKind, read_ledger
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder
from interactive.server.tokens import read_token

SCHEMA = "neuralos.benchmark.steered_replay/1"
PACKAGES = ("torch", "numpy")
NEURALOS = [sys.executable, "-c", "from experiments.cli import main; main()"]
PATIENCE_S = 1800.0
"""How long a part of it may take before it counts as stuck."""
BRANCH = "after"
SAVED, LEFT = 0.30, 0.55
"""Shares of the steps: the checkpoint that is branched from, and where main is left."""


@dataclass(frozen=True)
class Planned:
    """A command, the step before which it is due, and the branch it is for."""

    step: int
    command: dict[str, Any]
    branch: str = "main"


@dataclass(frozen=True)
class Row:
    """What became of an intervention."""

    branch: str
    step: int
    command: str
    state: str
    effective: str


@dataclass(frozen=True)
class Moved:
    """What a replay says of a ledger in which an intervention stands a step later."""

    command: str
    step: int
    first_divergence_step: int | None
    field: str | None
    recorded: Any
    replayed: Any


def plans(steps: int) -> list[Planned]:
    """Return the interventions of a run of so many recorded steps.

    The steps of main up to where it is left, and those of the branch from its checkpoint on,
    add up to ``steps``.
    """
    at = [round(steps * share / 100) for share in range(101)]
    saved, left = at[int(100 * SAVED)], at[int(100 * LEFT)]
    main = [
        Planned(at[7], {"command": "update_optimizer", "lr": 0.0015, "weight_decay": 0.05}),
        Planned(
            at[11],
            {
                "command": "replace_schedule",
                "schedule": "CosineAnnealingLR",
                "lr": 0.002,
                "arguments": {"T_max": steps},
            },
        ),
        Planned(at[15], {"command": "scale_schedule", "factor": 0.5}),
        Planned(
            at[19],
            {"command": "update_setting", "setting": "objective.feedback_noise", "value": 0.3},
        ),
        Planned(at[23], {"command": "update_mixture", "weights": {"live": 2.0}, "fresh_rows": 2}),
        Planned(at[26], {"command": "evaluate"}),
        Planned(
            at[28], {"command": "module_operation", "operation": "freeze", "module": "rnn.lstm"}
        ),
        Planned(saved, {"command": "save_checkpoint"}),
        Planned(at[34], {"command": "pause"}),
        Planned(
            at[39],
            {
                "command": "batch",
                "commands": [
                    {"command": "update_optimizer", "beta1": 0.85, "max_grad_norm": 0.8},
                    {
                        "command": "update_setting",
                        "setting": "optimizer.ema_decay",
                        "value": 0.99,
                    },
                ],
            },
        ),
        Planned(
            at[43],
            {"command": "module_operation", "operation": "reset_parameters", "module": "fate"},
        ),
        Planned(at[51], {"command": "note", "text": "half way"}),
    ]
    turned = [
        Planned(saved + at[4], {"command": "update_mixture", "drop": ["base"]}, BRANCH),
        Planned(saved + at[8], {"command": "update_mixture", "weights": {"base": 1.0}}, BRANCH),
        Planned(
            saved + at[13],
            {
                "command": "update_dataset",
                "dataset": "live",
                "parameters": {"half_life_clips": 40.0},
            },
            BRANCH,
        ),
        Planned(
            saved + at[18],
            {
                "command": "replace_schedule",
                "schedule": "OneCycleLR",
                "lr": 0.003,
                "arguments": {"total_steps": steps},
            },
            BRANCH,
        ),
        Planned(
            saved + at[24],
            {"command": "module_operation", "operation": "unfreeze", "module": "rnn.lstm"},
            BRANCH,
        ),
        Planned(saved - 1 + steps - (left - 1) + 1, {"command": "stop"}, BRANCH),
    ]
    return [*main, *turned]


def leaving(steps: int) -> int:
    """Return the step of main before which the branch is opened."""
    return round(steps * LEFT)


@click.command()
@click.option("--steps", default=300, show_default=True, help="Recorded steps, on both branches.")
@click.option("--run", "run", type=click.Path(path_type=Path), help="Keep the run here.")
@click.option("--set", "overrides", multiple=True, help="A setting of the run, as for train.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(steps: int, run: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = run or Path(scratch) / "run"
        train(folder, steps, overrides)
        replayed = neuralos("ctl", "replay", folder, "--json")
        rows = list(interventions(folder))
        moved = [moved_by_a_step(folder, name, Path(scratch)) for name in MOVED]
    report = {
        "schema": SCHEMA,
        "rows": [asdict(row) for row in rows],
        "replay": {name: replayed[name] for name in REPLAY_KEYS},
        "moved": [asdict(one) for one in moved],
        **circumstances(PACKAGES),
    }
    if as_json:
        print(json.dumps(report))
    else:
        print_tables(rows, report["replay"], moved)
    found = all(one.first_divergence_step == one.step for one in moved)
    sys.exit(0 if found and replayed["identical"] == replayed["steps"] == steps else 1)


REPLAY_KEYS = ("steps", "identical", "first_divergence", "promise", "live_clips")
MOVED = ("update_optimizer", "replace_schedule", "update_setting", "batch", "module_operation")
"""The interventions that are moved, each the first of its kind; all act on their very step."""


def train(run: Path, steps: int, overrides: tuple[str, ...]) -> None:
    """Let the loop train from its first step to the stop at its last, steered."""
    words = [word for setting in overrides for word in ("--set", setting)]
    live = ["live", "--headless", "--seed", "4", "--run", str(run), "--json", *words]
    with running(live) as process:
        with connected(run) as client:
            until(lambda: recorded(run) >= 1, "the first step", process)
            for one in plans(steps):
                answer = client.send(
                    one.command, at_step=one.step, branch=one.branch, reason="as planned"
                )
                assert answer.code is None, answer
            until(lambda: client.status()["state"] == "paused", "the pause", process)
            stepped = client.send({"command": "step", "steps": 3}, reason="a few", wait_s=60.0)
            last = (stepped.effective or {})["pause_after"]
            until(lambda: is_paused_after(client, last), "the pause after it", process)
            saved = until(lambda: checkpoint(run), "the checkpoint", process)
            loading = {"command": "load_checkpoint", "checkpoint": saved, "branch": BRANCH}
            client.send(loading, at_step=leaving(steps), branch="main", reason="as planned")
            client.send({"command": "resume"}, reason="go on")
        process.communicate(timeout=PATIENCE_S)


def interventions(run: Path) -> Iterator[Row]:
    """Yield the interventions of a run's ledger."""
    for entry in read_ledger(RunFolder(run).ledger):
        if entry.kind is EntryKind.INTERVENTION:
            body = entry.body
            effective = json.dumps(body.get("effective") or {}, sort_keys=True)
            command = body["command"]["command"]
            yield Row(entry.branch, entry.step, command, str(body["state"]), effective[:200])


def number_anew(entries: list[dict[str, Any]]) -> None:
    """Number entries in their new order, and what failures say of them."""
    number_of = {entry["seq"]: number for number, entry in enumerate(entries)}
    for number, entry in enumerate(entries):
        entry["seq"] = number
        if entry["kind"] == "failure" and entry["of"] is not None:
            entry["of"] = number_of[entry["of"]]


def moved_by_a_step(run: Path, command: str, scratch: Path) -> Moved:
    """Replay a run under its ledger with the first such intervention a step later."""
    exported = scratch / f"{command}.jsonl"
    neuralos("ctl", "ledger", run, "--export", exported, "--json")
    entries = [json.loads(line) for line in exported.read_text("utf-8").splitlines()]
    at = next(i for i, e in enumerate(entries) if e.get("command", {}).get("command") == command)
    moved = entries.pop(at)
    was = int(moved["step"])
    moved["step"] = was + 1
    while at < len(entries) and entries[at]["step"] == was:
        at += 1
    entries.insert(at, moved)
    number_anew(entries)
    exported.write_text("".join(json.dumps(entry) + "\n" for entry in entries), "utf-8")
    found = neuralos("ctl", "replay", run, "--ledger", exported, "--json")["first_divergence"] or {}
    return Moved(
        command,
        was,
        found.get("step"),
        found.get("field"),
        found.get("recorded"),
        found.get("replayed"),
    )


def is_paused_after(client: RunClient, step: int) -> bool:
    status = client.status()
    return bool(status["state"] == "paused" and status["step"] == step)


def recorded(run: Path) -> int:
    metrics = RunFolder(run).metrics
    return sum(1 for _ in read_metrics(metrics)) if metrics.exists() else 0


def checkpoint(run: Path) -> str | None:
    """Return the checkpoint that a command asked for."""
    for entry in read_ledger(RunFolder(run).ledger):
        if _saves(entry):
            return str(entry.body["effective"]["checkpoint"])
    return None


def _saves(entry: Entry) -> bool:
    command = entry.body.get("command")
    return isinstance(command, dict) and command.get("command") == "save_checkpoint"


def neuralos(*words: object) -> dict[str, Any]:
    """Run a command to its end and return its object."""
    done = subprocess.run(
        [*NEURALOS, *map(str, words)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE_S,
        check=False,
    )
    if not done.stdout.strip():
        raise RuntimeError(f"neuralos {words[0]} {words[1]}: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert isinstance(found, dict)
    return found


@contextmanager
def running(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a command; end it with the block if it still runs."""
    process = subprocess.Popen(
        [*NEURALOS, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=120)


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}


@contextmanager
def connected(run: Path) -> Iterator[RunClient]:
    """Wait for the run's server and give a client of it."""
    folder = RunFolder(run)

    def address() -> Any:
        return folder.tokens.exists() and folder.read_server()

    token_of = until(address, "the server", None)
    with RunClient.connect(token_of.url, read_token(folder.tokens, Role.OPERATOR)) as client:
        yield client


def until(condition: Callable[[], Any], what: str, process: subprocess.Popen[str] | None) -> Any:
    """Wait until a condition holds and return its value."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        try:
            value = condition()
        except ServerUnreachable:
            value = None
        if value:
            return value
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"the loop ended before {what}: {process.communicate()}")
        time.sleep(0.1)
    raise RuntimeError(f"waited {PATIENCE_S:g} s in vain for {what}")


def print_tables(rows: list[Row], replay: Any, moved: list[Moved]) -> None:
    console = Console()
    for title, lines in (("interventions", rows), ("moved by a step", moved)):
        if lines:
            table = Table(*asdict(lines[0]), title=title)
            for line in lines:
                table.add_row(*map(str, asdict(line).values()))
            console.print(table)
    console.print(replay)


if __name__ == "__main__":
    main()
