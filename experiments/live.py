"""From a command to a running loop, and from its end to what it says: live and train."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from experiments.address import Address, free_port
from experiments.config import HarnessConfig, open_or_create
from experiments.console import Status
from experiments.doctor import has_display, has_wandb_login
from experiments.loop import Loop, Parts, prepare_base, refuse_if_running
from experiments.recording import HOLD_S, HOST_KEY
from experiments.summary import summarise
from interactive.client import RunClient, ServerUnreachable
from interactive.policy import Role
from interactive.record.metrics import MetricsTail
from interactive.record.run_folder import RunFolder
from interactive.server.tokens import create_tokens, read_token


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """What a command was told about the loop it starts.

    ``seconds`` is how long it runs; ``headless_seconds`` counts in its place where the
    loop goes headless for want of a display. ``ranks`` is how many torchrun started here
    and elsewhere.
    """

    run: Path
    command: str
    window: bool
    headless: bool = False
    seconds: float | None = None
    headless_seconds: float | None = None
    wandb: str = "auto"
    host: str = "127.0.0.1"
    port: int = 0
    allow_remote: bool = False
    hold_s: float = HOLD_S
    host_key: str = HOST_KEY
    ranks: int = 1

    def restart(self) -> str:
        """Return the command that continues the run."""
        command = f"neuralos {self.command} --run {self.run}"
        if self.ranks == 1:
            return command
        return f"torchrun --nproc-per-node {self.ranks} --no-python -- {command}"


@dataclass(frozen=True, slots=True)
class Ended:
    """What happened in a loop, and whether Ctrl-C ended it."""

    values: dict[str, Any]
    interrupted: bool

    def exit_status(self) -> None:
        """End the command with the status of Ctrl-C, if that is how the loop ended."""
        if self.interrupted:
            raise click.exceptions.Exit(int(Status.INTERRUPTED))


def run_loop(options: LoopOptions, config: HarnessConfig, say: Callable[[str], None]) -> Ended:
    """Run a loop to its end and return what happened.

    Raises:
        BindRefused: the address reaches beyond this machine and nobody allowed it.
        ChildDied: a part died; the others have been ended, nothing acknowledged is lost.
        PortTaken: the port is not free.
        RunVersionMismatch: the run folder is of another version.
        StoreLocked: the run is running already.
    """
    Address(options.host, options.port, options.allow_remote).check()
    options = _with_display(options, say)
    folder = open_or_create(options.run, config, say)
    refuse_if_running(folder)
    create_tokens(folder)
    parts = Parts(
        address=Address(
            options.host,
            free_port(options.host, options.port, folder.read_server()),
            options.allow_remote,
        ),
        window=options.window,
        user="task" if options.headless else "",
        seed=folder.info().seed,
        wandb_mode=wandb_mode(options.wandb),
        hold_s=options.hold_s,
        host_key=options.host_key,
        restart=options.restart(),
    )
    loop = Loop(folder, parts)
    interrupted = False
    try:
        if options.window:
            loop.start_window()
        loop.start_trainer()
        prepare_base(folder, config.base, parts.seed, say)
        loop.start_server()
        say(f"run folder: {folder.path}")
        with _ProgressLine(folder, lambda: _login_url(folder, parts.address.url)) as line:
            loop.watch(options.seconds, line.update)
    except KeyboardInterrupt:
        say("ending …")
        interrupted = True
    finally:
        _end_whatever_comes(loop)
    if options.ranks > 1 and (failure := loop.failure()):
        # Where another rank died, torchrun's signal often comes before the trainer has said so.
        raise failure
    return Ended(summarise(folder, parts.address.url), interrupted)


def _with_display(options: LoopOptions, say: Callable[[str], None]) -> LoopOptions:
    """Return the options of a loop that finds a display, or goes headless."""
    headless = options.headless
    if options.window and not headless and not has_display():
        say("no display here: going on headless, with a scripted user")
        headless = True
    seconds = options.seconds
    if seconds is None and headless:
        seconds = options.headless_seconds
    return replace(options, headless=headless, seconds=seconds)


def _end_whatever_comes(loop: Loop) -> None:
    """End the loop; a second Ctrl-C does not keep a child from ending cleanly."""
    while True:
        try:
            loop.end()
            return
        except KeyboardInterrupt:
            continue


def wandb_mode(wanted: str) -> str:
    """Return the mirror's mode: ``auto`` is online with a login, offline without."""
    if wanted != "auto":
        return wanted
    set_mode = os.environ.get("WANDB_MODE", "")
    if set_mode in ("disabled", "offline", "online"):
        return set_mode
    return "online" if has_wandb_login() else "offline"


def _login_url(folder: RunFolder, url: str) -> str | None:
    """Return an address that opens the page once without a token, when the server is up."""
    try:
        with RunClient.connect(url, read_token(folder.tokens, Role.OPERATOR)) as client:
            return client.login_url()
    except ServerUnreachable:
        return None


class _ProgressLine:
    """What a person reads on stderr: the page's address once, and a line that follows the steps."""

    def __init__(self, folder: RunFolder, find_page: Callable[[], str | None]) -> None:
        self._find_page: Callable[[], str | None] | None = find_page
        self._tail = MetricsTail(folder.metrics)
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("starting the trainer …", total=None)

    def __enter__(self) -> _ProgressLine:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self) -> None:
        """Show the page's address when it is known, and the last step."""
        page = self._find_page() if self._find_page else None
        if page is not None:
            self._find_page = None
            self._progress.console.print(f"page: {page}", soft_wrap=True)
        rows = self._tail.read_new()
        if rows:
            last = rows[-1]
            text = f"{last.branch} step {last.step}  loss {last.loss:.4f}  lr {last.lr:.2e}"
            self._progress.update(self._task, description=text)
