"""The whole loop in one command: base data, server, trainer, window and W&B mirror.

Each part is a process of its own. This one starts them, watches them, ends them cleanly,
and says in the end what happened. The death of one ends the others; starting again with
the same run folder continues where the files stand.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_collection.clock import SystemClock
from data_collection.store import TraceStore
from experiments import children
from experiments.base_data import BaseConfig, make_base, missing_traces
from experiments.children import Child
from interactive.run_folder import RunFolder

END_TIMEOUT_S = {"window": 10.0, "trainer": 40.0, "mirror": 20.0, "server": 10.0}
"""How long each child may take to end cleanly, in the order in which they are asked."""
ESSENTIAL = frozenset({"window", "trainer", "server"})


class ChildDied(Exception):
    """A part of the loop ended by itself and not cleanly."""

    def __init__(self, child: Child, status: int) -> None:
        words = child.last_words()
        super().__init__(f"the {child.name} ended with status {status}. {words}".strip())
        self.hint = f"Its log: {child.log}."


@dataclass(frozen=True, slots=True)
class Parts:
    """Which processes a loop has, and what they are told."""

    window: bool
    headless: bool = False
    seed: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    wandb_mode: str = "disabled"


class Loop:
    """The running processes of a run."""

    def __init__(self, folder: RunFolder, parts: Parts) -> None:
        self._folder = folder
        self._parts = parts
        self._children: dict[str, Child] = {}

    def start_window(self) -> None:
        """Start the window; it records into its spool until the server is there."""
        if not self._parts.window:
            return
        arguments = ["window", str(self._folder.path), "--seed", str(self._parts.seed)]
        env: dict[str, str] = {}
        if self._parts.headless:
            arguments.append("--scripted")
            env = {"SDL_VIDEODRIVER": "dummy"}
        self._start("window", arguments, env)

    def start_rest(self) -> None:
        """Start server, trainer and, unless it is disabled, the W&B mirror."""
        run = str(self._folder.path)
        server = ["server", run, "--host", self._parts.host, "--port", str(self._parts.port)]
        self._start("server", server, {})
        self._start("trainer", ["trainer", run], {})
        if self._parts.wandb_mode != "disabled":
            self._start("mirror", ["mirror", run, "--mode", self._parts.wandb_mode], {})

    def _start(self, name: str, arguments: list[str], env: dict[str, str]) -> None:
        log = self._folder.path / "logs" / f"{name}.log"
        self._children[name] = children.start(name, arguments, log, env)

    def watch(self, seconds: float | None, on_tick: Callable[[], None]) -> None:
        """Wait until the time is up, or a person closed the window or stopped the run.

        Args:
            seconds: how long at most; ``None`` is as long as it takes.
            on_tick: called about four times a second.

        Raises:
            ChildDied: an essential part died.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while deadline is None or time.monotonic() < deadline:
            for name, child in self._children.items():
                status = child.process.poll()
                if status is None or name not in ESSENTIAL:
                    continue
                if status == 0 and name != "server":
                    return
                raise ChildDied(child, status)
            on_tick()
            time.sleep(0.25)

    def end(self) -> dict[str, int]:
        """Ask each child to end, in the order that loses nothing; return their statuses."""
        statuses = {}
        for name, timeout_s in END_TIMEOUT_S.items():
            child = self._children.get(name)
            if child is not None:
                child.ask_to_end()
                statuses[name] = child.wait(timeout_s)
        return statuses


def prepare_base(folder: RunFolder, config: BaseConfig, seed: int, say: Callable[[str], None]) -> None:
    """Make the run's base data where they are missing, before a server holds the store.

    Raises:
        StoreLocked: a server of this run is running.
    """
    store = TraceStore.open(folder.traces)
    try:
        missing = missing_traces(store, config, seed)
        if missing:
            say(f"base data: {len(missing)} traces of {config.clips} s by scripted users …")
            make_base(store, config, seed, SystemClock(), lambda: None)
    finally:
        store.close()


def restart_line(path: Path, command: str) -> str:
    """Return the line that continues a run."""
    return f"neuralos {command} --run {path}"
