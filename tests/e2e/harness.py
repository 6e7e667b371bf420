"""Runs the `neuralos` command as a user does, and looks at what it left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.connection import Connection
from experiments.standing import standing
from interactive.record.metrics import MetricsRow, read_metrics
from interactive.record.run_folder import RunFolder

NEURALOS = [sys.executable, "-c", "from experiments.cli import main; main()"]
PATIENCE_S = 120.0
"""How long a test waits for something that must come; it asserts no speed."""
MICRO = [
    word
    for setting in (
        "base.traces=3",
        "base.clips=8",
        "simulator.rnn.entry=32",
        "simulator.rnn.lstm=32",
        "simulator.rnn.exit=32",
        "lanes.frames=8",
        "lanes.lanes=3",
        "objective.drawn_frames=4",
        "evaluation.frames=8",
        "evaluation.warm_frames=4",
        "steering.checkpoint_every=20",
    )
    for word in ("--set", setting)
]
"""Settings that make a run small enough for a test."""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The object in the last line of stdout."""
        found = json.loads(self.stdout.strip().splitlines()[-1])
        assert isinstance(found, dict)
        return found


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without a display and without a W&B login."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    env.pop("DISPLAY", None)
    env.pop("WAYLAND_DISPLAY", None)
    return {**env, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", **(extra or {})}


def neuralos(*arguments: object, env: Mapping[str, str] | None = None) -> Done:
    """Run a command to its end."""
    command = [*NEURALOS, *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(env), timeout=300, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Running:
    """A command that runs until it is told to end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def end(self) -> Done:
        """Press Ctrl-C and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> Done:
        """Wait for the command's own end."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return Done(self.process.returncode, out, err)


@contextlib.contextmanager
def running(*arguments: object, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Start a command; kill it at the end of the block if it still runs."""
    process = subprocess.Popen(
        [*NEURALOS, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(env),
    )
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition holds and return its value."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {PATIENCE_S:g} s in vain for {what}")


def steps(run: Path) -> list[MetricsRow]:
    """Return the steps that a run has recorded."""
    return list(read_metrics(RunFolder(run).metrics))


def status(run: Path) -> dict[str, Any]:
    """Return the object of `ctl status`, without the cost of a process."""
    return standing(Connection(run, None, None))


def send(run: Path, *words: str) -> dict[str, Any]:
    """Send a command, wait for its outcome and return it."""
    done = neuralos("ctl", "send", run, *words, "--wait", "60", "--json")
    assert done.status == 0, done.stderr
    return done.json
