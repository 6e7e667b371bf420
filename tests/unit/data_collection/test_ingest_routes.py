from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient
from trace_samples import StillClock, sample_clip, sample_header

from data_collection.storage.codec import body_sha, encode_clip
from data_collection.storage.store import TraceStore
from data_collection.streaming import ingest_routes
from data_collection.streaming.ingest import IngestService
from data_collection.trace import Clip, ClipRow

HEADER = sample_header().to_json()


def authorise(role: str) -> Callable[[Request], None]:
    def demand(request: Request) -> None:
        if request.headers.get("authorization") not in (f"Bearer {role}", "Bearer all"):
            raise HTTPException(403)

    return demand


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TraceStore]:
    opened = TraceStore.open(tmp_path / "store")
    yield opened
    opened.close()


@pytest.fixture
def client(store: TraceStore) -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(ingest_routes.create_router(IngestService(store, StillClock()), authorise))
    with TestClient(app, headers={"Authorization": "Bearer all"}) as opened:
        yield opened


def put(client: TestClient, clip: Clip, sha: str | None = None, **headers: str):  # type: ignore[no-untyped-def]
    body = encode_clip(clip)
    return client.put(
        f"/traces/{clip.trace_id}/clips/{clip.seq}",
        content=body,
        headers={"X-Body-SHA256": sha or body_sha(body), **headers},
    )


def open_trace(client: TestClient, trace_id: str = "t-1") -> int:
    header = sample_header(trace_id).to_json()
    return client.put(f"/traces/{trace_id}", json=header).status_code


def test_a_clip_goes_in_once_and_comes_out_as_a_commit(client: TestClient) -> None:
    assert (open_trace(client), open_trace(client)) == (201, 200)
    first = put(client, sample_clip(0))
    assert (first.status_code, first.json()["outcome"]) == (200, "accepted")
    second = put(client, sample_clip(0))
    assert (second.status_code, second.json()["outcome"]) == (200, "duplicate")
    other = put(client, sample_clip(0, look=5))
    assert (other.status_code, other.json()["outcome"]) == (409, "conflict")
    commits = client.get("/commits").json()
    assert commits["rows"] == [first.json()["row"]] == [second.json()["row"]]
    assert ClipRow.from_json(commits["rows"][0]).seq == 0
    assert client.get("/commits", params={"after": 1}).json()["rows"] == []


def test_the_trace_tells_what_is_missing(client: TestClient) -> None:
    open_trace(client)
    for seq in (0, 3):
        put(client, sample_clip(seq))
    shown = client.get("/traces/t-1").json()
    assert (shown["present"], shown["missing"]) == ([0, 3], [1, 2])
    listed = client.get("/traces").json()
    assert [(t["trace_id"], t["clips"], t["frames"]) for t in listed["traces"]] == [("t-1", 2, 10)]
    assert listed["counts"] == [{"source": "human", "state": "committed", "clips": 2}]
    assert client.get("/traces/t-2").status_code == 404


def test_an_unfit_clip_is_answered_with_its_reason(client: TestClient) -> None:
    open_trace(client)
    refused = put(client, sample_clip(0, frames=6))
    assert refused.status_code == 422
    assert (refused.json()["outcome"], refused.json()["code"]) == ("quarantined", "frames")
    assert [q["code"] for q in client.get("/traces").json()["quarantined"]] == ["frames"]


def test_damage_on_the_way_is_no_reason_to_quarantine(client: TestClient) -> None:
    open_trace(client)
    answer = put(client, sample_clip(0), sha="0" * 64)
    assert (answer.status_code, answer.json()["outcome"]) == (400, "hash_mismatch")
    no_hash = client.put("/traces/t-1/clips/0", content=b"abc")
    assert no_hash.json()["outcome"] == "hash_mismatch"
    assert client.get("/traces").json()["quarantined"] == []


def test_a_body_over_the_cap_is_cut_off_while_it_streams(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_trace(client)
    monkeypatch.setattr(ingest_routes, "MAX_BODY_BYTES", 1000)
    announced = client.put("/traces/t-1/clips/0", content=bytes(1001))
    streamed = client.put("/traces/t-1/clips/0", content=(bytes(100) for _ in range(11)))
    header = client.put("/traces/t-1", content=b" " * 70_000)
    for answer in (announced, streamed, header):
        assert (answer.status_code, answer.json()["outcome"]) == (413, "too_large")


def test_a_header_that_is_no_json_is_refused(client: TestClient) -> None:
    for text in (b"{", b"\xff", b"[" * 60_000):
        answer = client.put("/traces/t-1", content=text)
        assert (answer.status_code, answer.json()["outcome"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "path", ["..%2f..%2fetc", "%2e%2e", "..", "a%00b", "A", "a.mcap", "a" * 65, "_set_aside", "%0a"]
)
def test_a_path_in_a_trace_id_reaches_no_file(
    client: TestClient, store: TraceStore, path: str
) -> None:
    before = sorted(store.root.parent.rglob("*"))
    body = encode_clip(sample_clip(0))
    for target, content in ((f"/traces/{path}", b"{}"), (f"/traces/{path}/clips/0", body)):
        answer = client.put(target, content=content, headers={"X-Body-SHA256": body_sha(body)})
        assert answer.status_code in (400, 404, 405)
    assert sorted(store.root.parent.rglob("*")) == before


@pytest.mark.parametrize("seq", ["-1", "1e3", "..", "999999999", "0x1"])
def test_a_clip_number_that_is_none_is_refused(client: TestClient, seq: str) -> None:
    open_trace(client)
    body = encode_clip(sample_clip(0))
    answer = client.put(
        f"/traces/t-1/clips/{seq}", content=body, headers={"X-Body-SHA256": body_sha(body)}
    )
    assert answer.status_code in (400, 404, 405, 422)
    assert client.get("/traces/t-1").json()["present"] == []


def test_a_withdrawn_trace_is_gone_for_the_collector_and_named_to_the_trainer(
    client: TestClient,
) -> None:
    open_trace(client)
    put(client, sample_clip(0))
    assert client.delete("/traces/t-1").status_code == 200
    assert client.delete("/traces/t-9").status_code == 404
    assert put(client, sample_clip(1)).status_code == 410
    assert open_trace(client) == 410
    commits = client.get("/commits").json()
    assert [row["state"] for row in commits["rows"]] == ["tombstoned"] * 2
    assert client.get("/traces/t-1").json()["state"] == "tombstoned"


def test_clips_are_withdrawn_by_number_and_the_trace_tells(client: TestClient) -> None:
    open_trace(client)
    for seq in (0, 1, 2, 6):
        put(client, sample_clip(seq))
    put(client, sample_clip(7, frames=6))
    for _ in range(2):
        answer = client.delete("/traces/t-1/clips", params={"first": 1, "last": 4})
        assert (answer.status_code, answer.json()["clips"]) == (200, [1, 2])
    shown = client.get("/traces/t-1").json()
    assert (shown["present"], shown["withdrawn"], shown["missing"]) == ([0, 6], [1, 2], [5])
    assert [(clip["seq"], clip["code"]) for clip in shown["quarantined"]] == [(7, "frames")]
    assert put(client, sample_clip(3)).json()["outcome"] == "withdrawn"
    assert client.delete("/traces/t-1/clips", params={"first": "x"}).status_code == 400
    assert client.delete("/traces/t-9/clips", params={"first": 1}).status_code == 404
    assert client.delete("/traces/t-1/clips", params={"first": 6}).json()["clips"] == [6]
    assert put(client, sample_clip(9)).status_code == 410


def test_a_fault_of_the_server_is_answered_to_be_sent_again(
    client: TestClient, store: TraceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_trace(client)

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        for name in ("append", "open_trace", "withdraw"):
            broken.setattr(store, name, fail)
        for name in ("quarantined", "rows_after", "traces"):
            broken.setattr(store.index, name, fail)
        answers = [put(client, sample_clip(0)), client.put("/traces/t-1", json=HEADER)]
        answers += [client.delete("/traces/t-1"), client.delete("/traces/t-1/clips?first=1")]
        answers += [client.get(path) for path in ("/traces", "/traces/t-1", "/commits")]
    for answer in answers:
        assert (answer.status_code, answer.json()["outcome"]) == (503, "storage_failed")
        assert answer.headers["retry-after"] == "1"
    assert put(client, sample_clip(0)).json()["outcome"] == "accepted"


def test_a_waiting_trainer_gets_the_row_once_it_is_committed(client: TestClient) -> None:
    open_trace(client)
    answers: list[dict[str, list[object]]] = []

    def wait() -> None:
        answers.append(client.get("/commits", params={"wait_s": 30}).json())

    trainer = threading.Thread(target=wait)
    trainer.start()
    put(client, sample_clip(0))
    trainer.join(30)
    assert len(answers[0]["rows"]) == 1


@pytest.mark.parametrize(
    ("role", "method", "path"),
    [
        ("collector", "PUT", "/traces/t-1"),
        ("collector", "PUT", "/traces/t-1/clips/0"),
        ("collector", "DELETE", "/traces/t-1"),
        ("collector", "DELETE", "/traces/t-1/clips"),
        ("viewer", "GET", "/traces"),
        ("viewer", "GET", "/traces/t-1"),
        ("trainer", "GET", "/commits"),
    ],
)
def test_each_route_demands_its_role(client: TestClient, role: str, method: str, path: str) -> None:
    for other in {"collector", "viewer", "trainer"} - {role}:
        answer = client.request(method, path, headers={"Authorization": f"Bearer {other}"})
        assert answer.status_code == 403
    allowed = client.request(method, path, headers={"Authorization": f"Bearer {role}"})
    assert allowed.status_code != 403
