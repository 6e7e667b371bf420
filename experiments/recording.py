"""A window wired up: its desktops, where its clips go, and what its HUD tells."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from data_collection.clock import SystemClock
from data_collection.desktops.desktop import Desktop
from data_collection.desktops.pair import Desktops
from data_collection.desktops.process import DesktopDied, ProcessConfig, ProcessDesktop
from data_collection.desktops.registry import PROFILES
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.recording.recorder import Recorder, RecorderConfig
from data_collection.recording.sinks import BackgroundSink, SpoolSink, StoreSink
from data_collection.recording.sitting import Tally
from data_collection.storage.sink import ClipSink, SinkError
from data_collection.storage.store import TraceStore
from data_collection.streaming.push import Pusher, PushStatus
from data_collection.streaming.spool import Spool, disk_free_bytes
from data_collection.trace import Consent
from data_collection.users import make_user
from data_collection.window.telemetry import NoTelemetry, Telemetry
from data_collection.window.window import Window, WindowConfig
from experiments.clocks import stamp_with
from experiments.console import Failure, Status
from interactive.record.checkpoints import CheckpointLibrary
from neuralos.bases import base_folder, base_names

STATUS_PERIOD_S = 1.0
DRAIN_S = 6.0
HOST_KEY = "right ctrl"
HOLD_S = 1.0
"""How long a person's clips are kept back by default before they are sent."""


@dataclass(frozen=True, slots=True)
class Sitter:
    """Who sits at the desktop: a person, or a scripted user of the given name."""

    script: str = ""
    seed: int = 0

    def config(
        self, source: str, *, start_on: str, record: bool, hold_s: float = HOLD_S
    ) -> RecorderConfig:
        """Return how this sitter is recorded; nobody takes back what a script did."""
        scripted = bool(self.script)
        return RecorderConfig(
            seed=self.seed,
            source=source,
            policy=self.script or "person",
            consent=Consent.SYNTHETIC if scripted else Consent.GIVEN,
            record_from_start=record,
            start_on=start_on,
            hold_s=0.0 if scripted else hold_s,
        )


def simulator_desktop(checkpoint: str | None, run_dir: str | None) -> ProcessDesktop:
    """Start the simulator in a process of its own.

    Args:
        checkpoint: the folder of one checkpoint, or
        run_dir: a run whose newest checkpoint is followed.
    """
    arguments = {"checkpoint": checkpoint} if checkpoint else {"run_dir": run_dir}
    desktop = ProcessDesktop(ProcessConfig("neuralos.play:create", arguments))
    desktop.start()
    return desktop


def real_desktop(profile: str) -> ProcessDesktop:
    """Start a real desktop beside the window, in a process that may take its time.

    Raises:
        ProgramsMissing: what it is made of is not installed; ``hint`` is the line that does.
    """
    from data_collection.desktops.x11 import X11Config, require_programs

    require_programs(X11Config(profile=profile))
    arguments = {"name": "x11", "profile": profile}
    desktop = ProcessDesktop(
        ProcessConfig(
            "data_collection.desktops.registry:make_desktop",
            arguments,
            # A reset starts a whole session, and its end puts one away.
            step_timeout_s=90.0,
            close_timeout_s=10.0,
        )
    )
    desktop.start()
    return desktop


def desktops_of(name: str, profile: str = PROFILES[0]) -> tuple[Desktops, str]:
    """Return the desktops behind ``--desktop NAME`` and which of them comes first.

    Raises:
        ProgramsMissing: what a real desktop is made of is not installed.
        Failure: there is no desktop and no checkpoint of that name.
        CheckpointDamaged: the checkpoint's files are not those of its manifest.
    """
    if name == "scripted":
        return Desktops(ScriptedDesktop()), "real"
    if name == "x11":
        return Desktops(real_desktop(profile)), "real"
    if name in base_names():
        folder = base_folder(name)
        return Desktops(
            ScriptedDesktop(), lambda: simulator_desktop(str(folder), None)
        ), "simulator"
    if Path(name).is_dir():
        path = Path(name).resolve()
        CheckpointLibrary(path.parent).verify(path.name)
        return Desktops(ScriptedDesktop(), lambda: simulator_desktop(name, None)), "simulator"
    raise Failure(
        Status.USAGE,
        "unknown_desktop",
        f"no desktop {name!r}.",
        f"Say {', '.join(('scripted', 'x11', *base_names()))}, or the folder of a checkpoint.",
    )


def desktops_of_run(run_dir: Path, has_checkpoint: Callable[[], bool]) -> Desktops:
    """Return the scripted desktop, with the run's newest simulator beside it."""

    def simulator() -> Desktop | None:
        return simulator_desktop(None, str(run_dir)) if has_checkpoint() else None

    return Desktops(ScriptedDesktop(), simulator)


class LoopTelemetry:
    """What the HUD says of the loop: the spool's state, and the training's, asked of the server.

    The server is asked in a thread; the window only reads the last answer.
    """

    def __init__(self, spool: Spool, client: httpx.Client) -> None:
        self._spool = spool
        self._client = client
        self._training = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="telemetry", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._ended.set()

    def unacknowledged(self) -> int:
        """Return how many clips wait in the spool."""
        return len(self._spool)

    def disk_left_bytes(self) -> int | None:
        """Return the room on the spool's disk."""
        return self._spool.disk_free_bytes

    def training(self) -> str:
        """Return the training's state and step."""
        return self._training

    def _ask(self) -> None:
        while not self._ended.wait(STATUS_PERIOD_S):
            try:
                status = self._client.get("/api/progress", timeout=2.0)
                said = status.json() if status.is_success else {}
            except (httpx.HTTPError, ValueError):
                said = {"state": "no server"}
            self._training = _in_words(said)


class DiskTelemetry(NoTelemetry):
    """What the HUD says of a recording that stays here: the room on its disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def disk_left_bytes(self) -> int | None:
        """Return the room on the folder's disk."""
        return disk_free_bytes(self._folder)


def _in_words(status: dict[str, Any]) -> str:
    state, step = status.get("state", ""), status.get("step")
    return f"{state}, step {step}" if step else str(state)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a window left behind."""

    tally: Tally
    fps: float
    push: PushStatus
    waiting: int = 0
    """Clips that stay in the spool for the next start."""
    unanswered_withdrawals: int = 0
    """Withdrawals that stay there as well, until the server has answered for them."""
    failure: Exception | None = None
    """What ended or stopped the recording before its time; what is counted was kept."""


def run_window(
    desktops: Desktops,
    sink: ClipSink,
    sitter: Sitter,
    config: RecorderConfig,
    telemetry: Telemetry,
    look: WindowConfig,
    until: Callable[[], bool],
) -> Recorded:
    """Open the window, record until it is closed or ``until()``; close it and the desktop.

    Returns:
        What was recorded. ``failure`` is set where the desktop died, or clips could not be
        kept: the window has said so, and what was recorded before has been handed on.

    Raises:
        NoDisplay: there is nothing to open a window on.
        UnknownHostKey: no key has the host key's name.
    """
    background = BackgroundSink(sink)
    window = Window(look)
    recorder = Recorder(
        window,
        desktops,
        background,
        SystemClock(),
        random.Random(),
        config,
        telemetry=telemetry,
        user=make_user(sitter.script) if sitter.script else None,
    )
    try:
        window.open()
        death: DesktopDied | None = None
        try:
            recorder.run(until)
        except DesktopDied as error:
            death = error
        finally:
            window.close()
        failure = death or recorder.failure
        return Recorded(recorder.tally, recorder.fps, PushStatus(), failure=failure)
    finally:
        desktops.real.close()


def record_to_server(
    spool_folder: Path,
    url: str,
    token: str,
    desktops: Desktops,
    sitter: Sitter,
    config: RecorderConfig,
    host_key: str,
    until: Callable[[], bool],
) -> Recorded:
    """Record into a durable spool and send it to a server, which may come and go.

    Raises:
        NoDisplay: there is nothing to open a window on.
    """
    headers = {"Authorization": f"Bearer {token}"}
    with ExitStack() as stack:
        hooks = {"request": [stamp_with(SystemClock().wall_s)]}
        client = stack.enter_context(
            httpx.Client(base_url=url, headers=headers, timeout=10.0, event_hooks=hooks)
        )
        spool = Spool.open(spool_folder, hold_s=config.hold_s)
        telemetry = LoopTelemetry(spool, client)
        pusher = Pusher(spool, client, SystemClock())
        telemetry.start()
        stack.callback(telemetry.stop)
        pusher.start()
        look = WindowConfig(destination=f"the run at {url}", host_key=host_key)
        recorded = run_window(desktops, SpoolSink(spool), sitter, config, telemetry, look, until)
        # With the window closed nobody can take anything back: nothing is held any more.
        spool.release()
        waiting = pusher.stop(DRAIN_S)
        return replace(
            recorded,
            push=pusher.status,
            waiting=waiting,
            unanswered_withdrawals=len(spool.withdrawals()),
        )


def record_to_store(
    folder: Path,
    desktops: Desktops,
    sitter: Sitter,
    config: RecorderConfig,
    host_key: str,
    until: Callable[[], bool],
) -> Recorded:
    """Record straight into a local trace store.

    Raises:
        NoDisplay: there is nothing to open a window on.
        StoreLocked: another process holds the store.
    """
    store = TraceStore.open(folder)
    try:
        sink = StoreSink(store, SystemClock())
        look = WindowConfig(destination=str(folder), host_key=host_key)
        telemetry = DiskTelemetry(folder)
        recorded = run_window(desktops, sink, sitter, config, telemetry, look, until)
    except BaseException:
        store.close()
        raise
    push = PushStatus(acknowledged=recorded.tally.clips)
    try:
        store.close()
    except OSError as error:
        # Files without their ending: whoever opens the store next writes it.
        failure = recorded.failure or SinkError("disk", str(error))
        return replace(recorded, push=push, failure=failure)
    return replace(recorded, push=push)
