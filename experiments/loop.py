"""The processes of a run: server, trainer, window and W&B mirror.

Each part is a process of its own. ``Loop`` starts them, watches them and ends them in the
order that loses nothing. The death of one ends the others; starting again with the same
run folder continues where the files stand.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from data_collection.clock import SystemClock
from data_collection.storage.lock import StoreLock
from data_collection.storage.store import LOCK_FILE, TraceStore
from experiments import children
from experiments.address import Address
from experiments.base_data import BaseConfig, make_base, missing_traces
from experiments.children import Child
from interactive.record.run_folder import RunFolder

END_TIMEOUT_S = {"window": 12.0, "trainer": 40.0, "mirror": 20.0, "server": 10.0}
"""How long each child may take to end cleanly, in the order in which they are asked."""
ESSENTIAL = frozenset({"window", "trainer", "server"})
WATCH_S = 0.25


class ChildDied(Exception):
    """A part of the loop ended by itself, and not cleanly."""

    def __init__(self, child: Child, status: int, restart: str) -> None:
        words = child.last_words()
        super().__init__(f"the {child.name} ended with status {status}. {words}".strip())
        self.hint = f"Its log: {child.log}. To go on: {restart}"


@dataclass(frozen=True, slots=True)
class Parts:
    """Which processes a loop has, and what they are told.

    ``user`` names the scripted user of a headless window; empty is a person. ``hold_s`` and
    ``host_key`` are the window's.
    """

    address: Address
    window: bool = False
    user: str = ""
    seed: int = 0
    wandb_mode: str = "disabled"
    hold_s: float = 0.0
    host_key: str = "right ctrl"
    restart: str = ""


class Loop:
    """The running processes of a run."""

    def __init__(self, folder: RunFolder, parts: Parts) -> None:
        self.folder = folder
        self.parts = parts
        self._children: dict[str, Child] = {}

    def start_window(self) -> None:
        """Start the window; it records into its spool until the server is there."""
        parts = self.parts
        arguments = ["--url", parts.address.url, "--seed", str(parts.seed), "--user", parts.user]
        arguments += ["--hold", f"{parts.hold_s:g}", "--host-key", parts.host_key]
        self._start("window", arguments, {"SDL_VIDEODRIVER": "dummy"} if parts.user else {})

    def start_trainer(self) -> None:
        """Start the trainer; it waits for the server and for enough data."""
        self._start("trainer", [])

    def start_server(self) -> None:
        """Start the server and, unless it is disabled, the W&B mirror."""
        address = self.parts.address
        words = ["--host", address.host, "--port", str(address.port)]
        self._start("server", [*words, *(["--allow-remote"] if address.allow_remote else [])])
        if self.parts.wandb_mode != "disabled":
            self._start("mirror", ["--mode", self.parts.wandb_mode])

    def _start(self, part: str, arguments: list[str], env: dict[str, str] | None = None) -> None:
        log = self.folder.path / "logs" / f"{part}.log"
        words = [part, str(self.folder.path), *arguments]
        self._children[part] = children.start(part, words, log, env or {})

    def watch(self, seconds: float | None, on_tick: Callable[[], None]) -> None:
        """Wait until the time is up, or a person closed the window or stopped the run.

        Args:
            seconds: how long at most; ``None`` is as long as it takes.
            on_tick: called a few times a second.

        Raises:
            ChildDied: an essential part died.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while deadline is None or time.monotonic() < deadline:
            for part, child in self._children.items():
                status = child.process.poll()
                if status is None or part not in ESSENTIAL:
                    continue
                if status == 0 and part != "server":
                    return
                raise ChildDied(child, status, self.parts.restart)
            on_tick()
            time.sleep(WATCH_S)

    def end(self) -> None:
        """Ask each child to end, in the order that loses nothing, and wait for it."""
        for part, timeout_s in END_TIMEOUT_S.items():
            child = self._children.get(part)
            if child is not None:
                child.ask_to_end()
                child.wait(timeout_s)

    def failure(self) -> ChildDied | None:
        """Return how the trainer failed, after the end; None where it ended cleanly."""
        trainer = self._children.get("trainer")
        status = trainer.process.returncode if trainer else 0
        return ChildDied(trainer, status, self.parts.restart) if trainer and status else None


def refuse_if_running(folder: RunFolder) -> None:
    """Make sure that no loop of this run is running, before anything is started.

    Raises:
        StoreLocked: a server of this run is running.
    """
    folder.traces.mkdir(parents=True, exist_ok=True)
    StoreLock.acquire(folder.traces / LOCK_FILE).release()


def prepare_base(
    folder: RunFolder, config: BaseConfig, seed: int, say: Callable[[str], None]
) -> None:
    """Make the run's base data where they are missing, before a server holds the store.

    Raises:
        StoreLocked: a server of this run is running.
    """
    store = TraceStore.open(folder.traces)
    try:
        missing = missing_traces(store, config, seed)
        if missing:
            say(f"base data: {len(missing)} traces of {config.clips} s by scripted users …")
            make_base(store, config, seed, SystemClock())
    finally:
        store.close()
