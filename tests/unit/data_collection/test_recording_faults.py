"""The window's disk fails at every operation of a short session: nothing kept is lost.

Recording stops where a person sees it, what was kept before reads back as it was given,
and once the fault has cleared recording goes on and everything reaches the server.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from recorder_desk import Desk
from trace_samples import StillClock

from data_collection.recording.sinks import BackgroundSink, SpoolSink, StoreSink
from data_collection.storage.codec import encode_clip
from data_collection.storage.reading import read_body
from data_collection.storage.sink import ClipSink, Cut, SinkError
from data_collection.storage.store import TraceStore
from data_collection.streaming.ingest import IngestService
from data_collection.streaming.ingest_routes import create_router
from data_collection.streaming.push import Backoff, Pusher
from data_collection.streaming.spool import Spool
from data_collection.trace import Clip, TraceHeader
from data_collection.window.hotkeys import HostAction
from data_collection.window.hud import Recording
from tests.faults import FailingDisk, failing_disk

TICKS, FPS = 18, 5
FAULTS: dict[str, dict[str, Any]] = {
    "full": {"code": errno.ENOSPC, "lasting": True},
    "full for a moment": {"code": errno.ENOSPC},
    "failing": {"code": errno.EIO},
    "failing, yet done": {"code": errno.EIO, "late": True},
}
STEPS = {"full": 1, "full for a moment": 2, "failing": 1, "failing, yet done": 2}
"""Every operation fails in turn, or every second one."""
Clips = dict[tuple[str, int], bytes]


class Witness:
    """A sink that remembers what the one behind it kept."""

    def __init__(self, sink: ClipSink) -> None:
        self.kept: Clips = {}
        self._sink = sink

    def open(self, header: TraceHeader) -> None:
        self._sink.open(header)

    def put(self, header: TraceHeader, clip: Clip) -> None:
        self._sink.put(header, clip)
        self.kept[header.trace_id, clip.seq] = encode_clip(clip)

    def withdraw(self, header: TraceHeader, first_seq: int, last_seq: int) -> Cut:
        return self._sink.withdraw(header, first_seq, last_seq)

    def close(self) -> None:
        self._sink.close()


@contextmanager
def spool_at(root: Path) -> Iterator[tuple[ClipSink, Callable[[], Clips]]]:
    """A sink over a spool, and what the spool would still have after a crash."""
    yield SpoolSink(Spool.open(root)), lambda: bodies_of(Spool.open(root))


@contextmanager
def store_at(root: Path) -> Iterator[tuple[ClipSink, Callable[[], Clips]]]:
    """A sink over a store, and what the store has once it is opened again."""
    store = TraceStore.open(root)

    def on_disk() -> Clips:
        store.close()
        again = TraceStore.open(root)
        try:
            assert again.verify() == []
            rows = again.index.rows_after(0, again.index.last_commit)
            return {(row.trace_id, row.seq): read_body(root, row) for row in rows}
        finally:
            again.close()

    yield StoreSink(store, StillClock()), on_disk


def bodies_of(spool: Spool) -> Clips:
    found = {(clip.trace_id, clip.seq): spool.body(clip) for clip in spool.pending()}
    return {place: body for place, body in found.items() if body is not None}


def session(desk: Desk, sink: ClipSink, disk: FailingDisk) -> tuple[Witness, SinkError | None, int]:
    """Record over a disk that fails; then, when it is well, begin once more.

    Returns:
        What was kept, what closing the sink said, and the operations until it was well.
    """
    witness = Witness(sink)
    background = BackgroundSink(witness)
    desk.sink = background  # type: ignore[assignment]
    desk.shown.clear()

    operations = 0

    def recover() -> None:
        nonlocal operations
        while background.in_memory:
            time.sleep(0.001)
        operations, disk.at = operations or disk.operations, None
        if desk.shown[-1].recording is Recording.OFF:
            desk.press(HostAction.RECORD)()

    # What fails in the background may be said two clips later.
    desk.run(3 * TICKS, dict.fromkeys(range(TICKS, 3 * TICKS, 4), recover), fps=FPS)
    try:
        background.close()
    except SinkError as error:
        return witness, error, operations
    return witness, None, operations


KINDS = {"spool": spool_at, "store": store_at}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_window_kept_is_kept_wherever_the_disk_fails(
    desk: Desk, tmp_path: Path, kind: str, fault: str
) -> None:
    with KINDS[kind](tmp_path / "count") as (sink, _), failing_disk(tmp_path / "count") as disk:
        *_, count = session(desk, sink, disk)
    assert count > 10
    stops = 0
    for at in range(0, count, STEPS[fault]):
        root = tmp_path / f"{at}"
        with failing_disk(root, **FAULTS[fault]) as disk, KINDS[kind](root) as (sink, on_disk):
            disk.at = disk.operations + at
            witness, error, _ = session(desk, sink, disk)
            assert disk.failures
            disk.at = None
            there = on_disk()
        assert {place: there[place] for place in witness.kept} == witness.kept
        said = [hud.message for hud in desk.shown if hud.message.startswith("recording stopped")]
        stops += bool(said)
        assert said or error or not FAULTS[fault].get("lasting")
        # What came later was recorded over a disk that is well.
        assert desk.shown[-1].recording is Recording.ON
        assert desk.recorder.tally.clips >= TICKS // FPS
        assert desk.recorder.tally.clips == len(witness.kept)
    assert stops > count // 2 // STEPS[fault]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TraceStore]:
    opened = TraceStore.open(tmp_path / "store")
    yield opened
    opened.close()


@pytest.fixture
def server(store: TraceStore) -> Iterator[httpx.Client]:
    app = FastAPI()
    app.include_router(create_router(IngestService(store, StillClock()), lambda role: lambda: None))
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("fault", FAULTS)
def test_the_pusher_loses_nothing_wherever_the_spools_disk_fails(
    desk: Desk, tmp_path: Path, server: httpx.Client, store: TraceStore, fault: str
) -> None:
    def fill(root: Path) -> Clips:
        witness = Witness(SpoolSink(Spool.open(root)))
        desk.sink = witness  # type: ignore[assignment]
        desk.run(TICKS, fps=FPS)
        return witness.kept

    def push(spool: Spool, drain_s: float = 60.0) -> None:
        pusher = Pusher(spool, server, StillClock(), Backoff(0.001, 0.002))
        pusher.start()
        pusher.stop(drain_s)

    fill(tmp_path / "count")
    with failing_disk(tmp_path / "count") as disk:
        push(Spool.open(tmp_path / "count"))
    for at in range(0, disk.operations, STEPS[fault]):
        root = tmp_path / f"{at}"
        kept = fill(root)
        with failing_disk(root, at=at, **FAULTS[fault]) as failing:
            # A disk that stays full lets the pusher come to no end.
            push(Spool.open(root), 0.2 if FAULTS[fault].get("lasting") else 60.0)
        assert failing.failures or FAULTS[fault].get("lasting")
        push(Spool.open(root))
        assert bodies_of(Spool.open(root)) == {}
        for (trace_id, seq), body in kept.items():
            row = store.index.clip(trace_id, seq)
            assert row is not None
            assert read_body(store.root, row) == body
