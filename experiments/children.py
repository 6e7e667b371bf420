"""Child processes that end cleanly when asked, and with their parent.

The parent holds a pipe to each child's standard input. Closing it asks the child to
end; a parent that dies closes it too. The same few lines work on every system.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Child:
    """A running child process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def ask_to_end(self) -> None:
        """Close the pipe that the child watches."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()

    def wait(self, timeout_s: float) -> int:
        """Wait for the end, killing the child at the time limit; return its exit status."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def last_words(self, lines: int = 4) -> str:
        """Return the last lines of the child's log."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])


def start(name: str, arguments: Sequence[str], log: Path, env: Mapping[str, str]) -> Child:
    """Start ``python -m experiments.processes ARGUMENTS`` with its output in a log file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "experiments.processes", *arguments]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", **env},
        )
    return Child(name, process, log)


def start_heard(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start ``python -m experiments.processes ARGUMENTS``; its output is the caller's to read."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "experiments.processes", *arguments]
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
        )


def watch_parent() -> threading.Event:
    """Return an event that is set when the parent asks this process to end, or dies.

    Ctrl-C reaches the whole group of processes; it is the parent's business alone.
    """
    asked = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: asked.set())

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        asked.set()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    return asked
