"""Stores and a served run for the tests of `neuralos traces`."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from data_collection.clock import SystemClock
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.recording.collect import collect, synthetic_header
from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.trace import Clip, TraceHeader
from data_collection.users import make_user
from experiments.address import Address, free_port
from experiments.cli import cli
from experiments.commands.traces import relabelling
from experiments.console import run_cli
from experiments.ending import Ending
from experiments.server import serve
from interactive.record.run_folder import RunFolder, RunInfo

FIRST, SECOND = "drawn-0", "drawn-1"
_PATIENCE_S = 30.0


class Neuralos:
    """Runs commands in this process and reads the object that they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> tuple[int, dict[str, Any]]:
        status, text = self.text(*arguments, "--json")
        found = json.loads(text.strip().splitlines()[-1])
        assert isinstance(found, dict)
        return status, found

    def text(self, *arguments: object) -> tuple[int, str]:
        self._capsys.readouterr()
        status = run_cli(cli, [str(word) for word in arguments])
        return status, self._capsys.readouterr().out


def drawn(trace_id: str, seed: int, clips: int = 2) -> tuple[TraceHeader, list[Clip]]:
    """Return a task user's trace on the scripted desktop."""
    desktop = ScriptedDesktop()
    header = synthetic_header(trace_id, desktop, seed=seed, source="base", policy="task")
    return header, list(collect(desktop, make_user("task"), header, clips))


def put(store: TraceStore, header: TraceHeader, clips: list[Clip]) -> None:
    store.open_trace(header)
    for clip in clips:
        store.append(header, EncodedClip.of(clip, encode_clip(clip)), 1.0)


def make_store(root: Path) -> Path:
    """Make a store of two short traces; return its folder."""
    store = TraceStore.open(root)
    for seed, trace_id in enumerate((FIRST, SECOND)):
        put(store, *drawn(trace_id, seed))
    store.close()
    return root


def make_run(path: Path) -> RunFolder:
    """Make the folder of a run that has not trained."""
    return RunFolder.create(path, config="", info=RunInfo("", 0, "test"))


def end_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `--follow` end as soon as there is nothing left to do."""
    idle = threading.Event()

    class IdleClock(SystemClock):
        def sleep(self, duration_s: float) -> None:
            idle.set()

    monkeypatch.setattr(relabelling, "SystemClock", IdleClock)
    monkeypatch.setattr(Ending, "__call__", lambda self: idle.is_set())


@contextlib.contextmanager
def served(folder: RunFolder) -> Iterator[str]:
    """Serve a run from a thread of this process; yield the address."""
    ended = threading.Event()
    address = Address("127.0.0.1", free_port("127.0.0.1", 0, None))
    thread = threading.Thread(target=serve, args=(folder, address, ended))
    thread.start()
    try:
        _await(address.url)
        yield address.url
    finally:
        ended.set()
        thread.join(_PATIENCE_S)
        assert not thread.is_alive()


def _await(url: str) -> None:
    clock = SystemClock()
    deadline_ns = clock.monotonic_ns() + int(_PATIENCE_S * 1e9)
    while clock.monotonic_ns() < deadline_ns:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(url)
            return
        clock.sleep(0.02)
    raise AssertionError(f"nobody serves {url}")
