"""The onlookers of ``control_overhead.py``: a server, and clients that read it, as processes.

``python benchmarks/control_clients.py RUN poll|events FILE`` is one client; it counts the
answers or the events that it got in FILE.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.address import free_port
from interactive.client import RunClient
from interactive.policy import Role
from interactive.record.run_folder import RunFolder

POLL_S = 0.5
"""How often a polling client asks, as a dashboard does that knows no event stream."""
POLLING = 3
SETTLE_S = 0.3
PATIENCE_S = 60.0


class Onlookers:
    """Processes that can be held and let go, so that blocks with and without them alternate."""

    def __init__(self, processes: list[subprocess.Popen[bytes]], counts: list[Path]) -> None:
        self._processes = processes
        self._counts = counts
        self._running = True

    def run(self, running: bool) -> None:
        """Let them run, or hold them."""
        if running == self._running:
            return
        for process in self._processes:
            process.send_signal(signal.SIGCONT if running else signal.SIGSTOP)
        self._running = running
        time.sleep(SETTLE_S)

    def answers(self) -> list[int]:
        """Return what each client got so far: events first, then the polls' answers."""
        return [int(path.read_text() or 0) if path.exists() else 0 for path in self._counts]


@contextmanager
def onlookers(folder: RunFolder) -> Iterator[Onlookers]:
    """Start the server of a run, one reader of its events and three polling clients.

    Raises:
        TimeoutError: a client gets no answer.
    """
    port = free_port("127.0.0.1", 0, None)
    words = ["server", str(folder.path), "--host", "127.0.0.1", "--port", str(port)]
    started = [_start(["-m", "experiments.processes", *words])]
    counts = []
    try:
        for number, what in enumerate(["events", *["poll"] * POLLING]):
            counts.append(folder.path / f"onlooker-{number}")
            started.append(_start([__file__, str(folder.path), what, str(counts[-1])]))
        found = Onlookers(started, counts)
        deadline = time.monotonic() + PATIENCE_S
        while not all(found.answers()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"answers so far: {found.answers()}")
            time.sleep(0.1)
        yield found
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in started:
            process.wait()


def look_on(folder: RunFolder, what: str, count: Path) -> None:
    """Read a run until the process is ended."""
    while folder.read_server() is None or not folder.tokens.exists():
        time.sleep(0.1)
    address, token = folder.read_server(), folder.read_token(Role.VIEWER.value)
    assert address is not None
    assert token is not None
    with RunClient.connect(address.url, token) as client:
        got = 0
        if what == "events":
            for _ in client.events():
                got += 1
                count.write_text(str(got))
        while True:
            client.status()
            client.metrics()
            client.ledger()
            got += 3
            count.write_text(str(got))
            time.sleep(POLL_S)


def _start(words: list[str]) -> subprocess.Popen[bytes]:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=env,
    )


if __name__ == "__main__":
    look_on(RunFolder.open(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3]))
