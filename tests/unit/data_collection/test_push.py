from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from trace_samples import StillClock, sample_clip, sample_header

from data_collection.recording.sinks import SpoolSink
from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.streaming.ingest import IngestService
from data_collection.streaming.ingest_routes import create_router
from data_collection.streaming.push import Backoff, Pusher
from data_collection.streaming.spool import Spool
from data_collection.trace import Clip

QUICK = Backoff(first_s=0.001, longest_s=0.01)
PATIENCE_S = 30.0


class Network(httpx.BaseTransport):
    """Carries requests to an app, unless it is down; can lose answers on the way back."""

    def __init__(self, app: TestClient) -> None:
        self.down = threading.Event()
        self.refused = threading.Event()
        self.lose_answers = 0
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.down.is_set():
            self.refused.set()
            raise httpx.ConnectError("nobody listens", request=request)
        answer = self._app.request(
            request.method,
            request.url.path,
            content=request.read(),
            headers=dict(request.headers),
        )
        if self.lose_answers:
            self.lose_answers -= 1
            raise httpx.ReadTimeout("no answer", request=request)
        return httpx.Response(answer.status_code, content=answer.content)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TraceStore]:
    opened = TraceStore.open(tmp_path / "store")
    yield opened
    opened.close()


@pytest.fixture
def network(store: TraceStore) -> Iterator[Network]:
    app = FastAPI()
    service = IngestService(store, StillClock())
    app.include_router(create_router(service, lambda role: lambda: None), prefix="/api/ingest")
    with TestClient(app) as client:
        yield Network(client)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.open(tmp_path / "spool")


@pytest.fixture
def pusher(spool: Spool, network: httpx.BaseTransport) -> Pusher:
    client = httpx.Client(base_url="http://server/api/ingest", transport=network)
    return Pusher(spool, client, StillClock(), QUICK)


def fill(spool: Spool, clips: list[Clip]) -> None:
    sink = SpoolSink(spool)
    sink.open(sample_header())
    for clip in clips:
        sink.put(sample_header(), clip)


def test_every_spooled_clip_reaches_the_store_and_leaves_the_spool(
    spool: Spool, store: TraceStore, pusher: Pusher
) -> None:
    pusher.start()
    fill(spool, [sample_clip(seq) for seq in range(4)])
    assert pusher.stop(PATIENCE_S) == 0
    assert [row.seq for row in store.index.rows_after(0, 10)] == [0, 1, 2, 3]
    assert list(spool.root.rglob("*.clip")) == []
    assert (pusher.status.sent, pusher.status.acknowledged) == (4, 4)
    assert (pusher.status.failures, pusher.status.last_error) == (0, "")


def test_clips_wait_for_a_server_that_is_away(
    spool: Spool, store: TraceStore, network: Network, pusher: Pusher
) -> None:
    network.down.set()
    pusher.start()
    fill(spool, [sample_clip(seq) for seq in range(3)])
    assert network.refused.wait(PATIENCE_S)
    network.refused.clear()
    assert network.refused.wait(PATIENCE_S)
    assert len(spool.pending()) == 3
    assert pusher.status.away_since_ns == 1
    assert "ConnectError" in pusher.status.last_error
    network.down.clear()
    assert pusher.stop(PATIENCE_S) == 0
    assert store.index.present("t-1") == [0, 1, 2]
    assert (pusher.status.away_since_ns, pusher.status.acknowledged) == (0, 3)


def test_a_lost_answer_does_not_store_a_clip_twice(
    spool: Spool, store: TraceStore, network: Network, pusher: Pusher
) -> None:
    network.lose_answers = 5
    fill(spool, [sample_clip(seq) for seq in range(2)])
    pusher.start()
    assert pusher.stop(PATIENCE_S) == 0
    assert [row.commit for row in store.index.rows_after(0, 10)] == [1, 2]
    assert pusher.status.acknowledged == 2


def test_what_is_not_sent_in_time_stays_for_the_next_start(
    spool: Spool, store: TraceStore, network: Network, pusher: Pusher
) -> None:
    network.down.set()
    fill(spool, [sample_clip(0)])
    pusher.start()
    assert network.refused.wait(PATIENCE_S)
    assert pusher.stop(0.0) == 1
    network.down.clear()
    client = httpx.Client(base_url="http://server/api/ingest", transport=network)
    second = Pusher(Spool.open(spool.root), client, StillClock(), QUICK)
    second.start()
    assert second.stop(PATIENCE_S) == 0
    assert store.index.present("t-1") == [0]


def test_each_refusal_has_its_counter_and_no_bytes_are_lost(
    spool: Spool, store: TraceStore, pusher: Pusher
) -> None:
    service = IngestService(store, StillClock())
    service.open_trace("t-1", sample_header().to_json())
    stored = sample_clip(1)
    service.store.append(sample_header(), EncodedClip.of(stored, encode_clip(stored)), 1.0)
    unfit = replace(sample_clip(0), first_frame=2)
    fill(spool, [unfit, sample_clip(1, look=8), sample_clip(2)])
    pusher.start()
    assert pusher.stop(PATIENCE_S) == 0
    status = pusher.status
    assert (status.quarantined, status.set_aside, status.acknowledged) == (1, 1, 1)
    assert "409 conflict" in status.last_error
    quarantine = next((store.root / "quarantine").glob("*.clip"))
    assert quarantine.read_bytes() == encode_clip(unfit)
    aside = next((spool.root / "_set_aside").glob("*.clip"))
    assert aside.read_bytes() == encode_clip(sample_clip(1, look=8))


def test_clips_of_a_withdrawn_trace_are_deleted(
    spool: Spool, store: TraceStore, pusher: Pusher
) -> None:
    store.open_trace(sample_header())
    store.withdraw("t-1")
    fill(spool, [sample_clip(0), sample_clip(1)])
    pusher.start()
    assert pusher.stop(PATIENCE_S) == 0
    assert pusher.status.withdrawn == 2
    assert list(spool.root.rglob("*.clip")) == []


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: httpx.Response(401),
        lambda request: httpx.Response(422, json={"detail": "not ours"}),
        lambda request: httpx.Response(500, text="<html>"),
        lambda request: httpx.Response(404, json=["odd"]),
        lambda request: httpx.Response(302, headers={"location": "http://elsewhere/"}),
    ],
)
def test_an_answer_that_settles_nothing_deletes_nothing(
    spool: Spool, answer: Callable[[httpx.Request], httpx.Response]
) -> None:
    asked = threading.Semaphore(0)

    def handle(request: httpx.Request) -> httpx.Response:
        asked.release()
        return answer(request)

    fill(spool, [sample_clip(0)])
    client = httpx.Client(base_url="http://server", transport=httpx.MockTransport(handle))
    pusher = Pusher(spool, client, StillClock(), QUICK)
    pusher.start()
    for _ in range(3):
        assert asked.acquire(timeout=PATIENCE_S)
    assert pusher.stop(0.0) == 1
    assert pusher.status.failures >= 2
    assert pusher.status.last_error != ""


def test_a_clip_too_large_for_what_stands_before_the_server_is_set_aside(spool: Spool) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "clips" in request.url.path:
            return httpx.Response(413, json={"detail": "the body is over 100 bytes"})
        return httpx.Response(201, json={"outcome": "opened"})

    fill(spool, [sample_clip(0)])
    client = httpx.Client(base_url="http://server", transport=httpx.MockTransport(answer))
    pusher = Pusher(spool, client, StillClock(), QUICK)
    pusher.start()
    assert pusher.stop(PATIENCE_S) == 0
    assert pusher.status.set_aside == 1
