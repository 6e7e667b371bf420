"""Clips from strangers: whatever they send, the server stays up, bounded and consistent.

Peak memory: the server under ``SERVER_BYTES``, each worker under ``WORKER_BYTES``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import pytest
from hostile_clips import JUNK, XOR, Hostility, Put, wide_clip
from ingest_process import IngestProcess
from trace_samples import sample_clip, sample_header

from data_collection.storage.codec import body_sha, encode_clip
from data_collection.storage.quarantine import QUARANTINE_FOLDER
from data_collection.storage.store import TraceStore
from data_collection.streaming.decode_pool import WorkerLimits
from data_collection.streaming.ingest import MAX_BODY_BYTES

SERVER_BYTES = 384 * 2**20
WORKER_BYTES = WorkerLimits().memory_bytes
STATUSES = {"accepted": 200, "duplicate": 200, "quarantined": 422, "conflict": 409}
STATUSES |= {"hash_mismatch": 400, "bad_request": 400, "unknown_trace": 404, "too_large": 413}


class Server(IngestProcess):
    """The server with what it has answered so far."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root
        self.answers: dict[object, tuple[int, dict[str, Any]]] = {}
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def open(self, trace_id: str, **changes: object) -> None:
        header = sample_header(trace_id, **changes).to_json()
        assert self.request("PUT", f"/traces/{trace_id}", json.dumps(header).encode())[0] == 201

    def put(self, trace_id: str, seq: object, body: bytes, sha: str) -> tuple[int, dict[str, Any]]:
        path = f"/traces/{trace_id}/clips/{seq}"
        return self.request("PUT", path, body, {"X-Body-SHA256": sha})

    def check(self, put: Put) -> None:
        """Send a request and hold the answer against what was answered before."""
        status, answer = self.put(put.trace_id, put.seq, put.body, put.sha)
        if "/" in put.trace_id.replace("%2f", "/"):
            assert status == 404
            return
        outcome = answer["outcome"]
        assert status == STATUSES[outcome], put.kind
        assert not put.is_good or status == 200, (put.kind, answer)
        assert answer.get("code") not in ("decode_crashed", "decode_timeout"), (put.kind, answer)
        self.outcomes[outcome] += 1
        self.reasons[answer.get("code", "")] += 1
        # The same request has the same answer, but for the name of having been here before.
        settled = {"outcome": "duplicate", "row": answer["row"]} if "row" in answer else answer
        assert self.answers.setdefault(put.key, (status, settled)) == (status, settled), put.kind


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("ingest") / "store")
    yield started
    usage = started.stop()
    print(f"\npeak memory { ({name: size >> 20 for name, size in usage.items()}) } MiB")
    assert usage["server"] < SERVER_BYTES
    assert usage["worker"] < WORKER_BYTES
    check_store(started)


def check_store(server: Server) -> None:
    """Hold what is on the disk against what was answered."""
    store = TraceStore.open(server.root)
    try:
        assert store.recovered == []
        assert store.verify() == []
        rows = store.index.rows_after(0, store.index.last_commit)
        told = {answer["row"]["commit"]: answer["row"] for _, answer in said(server, "row")}
        for row in rows:
            assert told.get(row.commit, row.to_json()) == row.to_json()
        assert set(told) <= {row.commit for row in rows}
        refused = {
            (trace_id, int(seq), sha): (answer["code"], answer["hint"])
            for (trace_id, seq, _, sha), answer in said(server, "code")
        }
        noted = store.index.quarantined(10**6)
        by_place = {
            (clip.trace_id, clip.seq, clip.body_sha): (clip.code, clip.hint) for clip in noted
        }
        assert {place: by_place[place] for place in refused} == refused
        bodies = {body_sha(path.read_bytes()) for path in kept(server, "*.clip")}
        assert {clip.body_sha for clip in noted} == bodies
        assert len(kept(server, "*.reason.txt")) == len(noted)
    finally:
        store.close()


def said(server: Server, field: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    return ((key, answer) for key, (_, answer) in server.answers.items() if field in answer)


def kept(server: Server, pattern: str) -> list[Path]:
    return list((server.root / QUARANTINE_FOLDER).glob(pattern))


def fuzz(server: Server, seed: int, count: int) -> None:
    hostility = Hostility(Random(seed), f"f{seed}")
    for trace_id in hostility.traces:
        server.open(trace_id)
    for put in hostility.puts(count):
        server.check(put)
    print(f"\n{count} clips: {dict(server.outcomes)}\nreasons: {dict(server.reasons)}")
    assert set(STATUSES) - {"too_large"} <= set(server.outcomes)
    assert len(server.reasons) > 10


def test_hostile_clips_are_quarantined_or_answered_the_same(server: Server) -> None:
    fuzz(server, seed=3, count=700)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(4))
def test_twenty_thousand_hostile_clips(server: Server, seed: int) -> None:
    fuzz(server, seed=100 + seed, count=5000)


def test_a_clip_that_grows_a_hundred_thousandfold_stays_within_its_workers_memory(
    server: Server,
) -> None:
    put_wide(server, "wide", XOR)


@pytest.mark.nightly
def test_so_does_one_of_the_other_codec(server: Server) -> None:
    put_wide(server, "wide-gradient", {"codec": 2})


def put_wide(server: Server, trace_id: str, head: dict[str, int]) -> None:
    server.open(trace_id, width_px=4096, height_px=4096)
    body = wide_clip(trace_id, 4096, **head)
    assert len(body) < 10_000
    status, answer = server.put(trace_id, 0, body, body_sha(body))
    assert (status, answer["outcome"]) == (200, "accepted")
    answer = server.put(trace_id, 1, body, body_sha(body))[1]
    assert answer["code"] == "place"


def test_bodies_without_a_length_or_with_a_wrong_one(server: Server) -> None:
    server.open("lengths")
    body = encode_clip(sample_clip(0, "lengths"))
    sha = {"X-Body-SHA256": body_sha(body)}
    parts = [body[start : start + 100] for start in range(0, len(body), 100)]
    status, answer = server.request("PUT", "/traces/lengths/clips/0", iter(parts), sha)
    assert (status, answer["outcome"]) == (200, "accepted")
    flood = (bytes(2**20) for _ in range(MAX_BODY_BYTES // 2**20 + 2))
    assert server.request("PUT", "/traces/lengths/clips/1", flood, sha)[0] in (413, 0)
    large = bytes(MAX_BODY_BYTES)
    status, answer = server.put("lengths", 1, large, body_sha(large))
    assert (status, answer["code"]) == (422, "magic")
    head = b"PUT /traces/lengths/clips/1 HTTP/1.1\r\nHost: x\r\n"
    for length in (b"9" * 30, b"33554433"):
        announced = head + b"Content-Length: " + length + b"\r\n\r\n"
        assert server.say(announced, end=False) in (400, 413)
    for tail in (
        b"Content-Length: -5\r\n\r\n",
        b"Content-Length: 100\r\n\r\nshort",
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\nx",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx",
        b"X: " + b"h" * 100_000 + b"\r\n\r\n",
    ):
        assert server.say(head + tail) in (0, 400, 413, 431)
    assert server.request("GET", "/traces/lengths")[1]["present"] == [0]


def test_the_largest_bodies_at_once_take_turns(server: Server) -> None:
    server.open("large")
    body = bytes(MAX_BODY_BYTES)
    outcomes = at_once(server, [("large", seq, body, body_sha(body)) for seq in range(8)])
    assert Counter(outcomes) == {"quarantined": 8}


def test_headers_of_any_kind_are_opened_or_refused_by_name(server: Server) -> None:
    good = sample_header("h").to_json()
    texts = [b"", b"[]", b"nul", b"[" * 60_000, b'{"a":1,"a":2}', b"\xff\xfe", b"1" * 60_000]
    odd = [{**good, name: junk} for name in good for junk in JUNK]
    odd += [{name: good[name] for name in good if name != left_out} for left_out in good]
    texts += [json.dumps(header).encode() for header in odd]
    for text in texts:
        status, answer = server.request("PUT", "/traces/h", text)
        assert (status, answer["outcome"]) in (
            (201, "opened"), (200, "opened"), (400, "bad_request"), (409, "conflict"),
        )  # fmt: skip
    assert server.request("PUT", "/traces/h", b"x" * 70_000)[0] in (413, 0)


def test_the_same_clip_from_many_at_once_is_stored_once(server: Server) -> None:
    server.open("race")
    bodies = [encode_clip(sample_clip(0, "race", look=look)) for look in (0, 1)] * 4
    outcomes = at_once(server, [("race", 0, body, body_sha(body)) for body in bodies])
    assert Counter(outcomes) == {"accepted": 1, "duplicate": 3, "conflict": 4}


def at_once(server: Server, puts: list[tuple[str, int, bytes, str]]) -> list[str]:
    """Send clips over a connection each, together; return the outcomes."""
    outcomes: list[str] = []

    def send(trace_id: str, seq: int, body: bytes, sha: str) -> None:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        path = f"/traces/{trace_id}/clips/{seq}"
        connection.request("PUT", path, body, {"X-Body-SHA256": sha})
        outcomes.append(json.loads(connection.getresponse().read())["outcome"])
        connection.close()

    threads = [Thread(target=send, args=put) for put in puts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
