"""A window whose clock is wrong gives honest lags, and its skew is told."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import Response
from starlette.testclient import TestClient

from experiments.clocks import (
    ClockListener,
    ClockNotes,
    largest_skew_s,
    read_skews,
    stamp_with,
    sure_skew_s,
)
from interactive.record.run_folder import RunFolder
from tests.fakes import make_run


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run")


def served(folder: RunFolder, now_s: float) -> TestClient:
    app = FastAPI()

    @app.put("/traces/{trace_id}")
    def put(trace_id: str) -> Response:
        return Response(status_code=200 if trace_id == "mine" else 401)

    app.add_middleware(ClockListener, notes=ClockNotes(folder, lambda: now_s), prefix="/traces")
    return TestClient(app)


def test_the_smallest_difference_is_kept_for_accepted_requests(folder: RunFolder) -> None:
    client = served(folder, now_s=1000.0)
    for sent in ("698.2", "699.9", "699.0", "nan", "soon"):
        client.put("/traces/mine", headers={"X-Sent-Wall-S": sent})
    client.put("/traces/refused", headers={"X-Sent-Wall-S": "1.0"})
    client.put("/traces/mine")
    assert read_skews(folder) == {"mine": 300.1}
    client = served(folder, now_s=1000.0)
    client.put("/traces/mine", headers={"X-Sent-Wall-S": "690.0"})
    assert read_skews(folder) == {"mine": 300.1}


def test_a_window_says_when_it_sends() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["X-Sent-Wall-S"])
        return httpx.Response(200)

    hooks = {"request": [stamp_with(lambda: 12.3456)]}
    transport = httpx.MockTransport(answer)
    with httpx.Client(transport=transport, event_hooks=hooks, base_url="http://x") as client:
        client.put("/traces/a")
    assert seen == ["12.346"]


def test_what_may_be_the_network_is_no_skew() -> None:
    assert [sure_skew_s(skew) for skew in (0.4, -0.4, 30.0, -30.0)] == [0.0, 0.0, 30.0, -30.0]
    skews = {"a": 0.1, "b": -7.0, "c": 99.0}
    assert largest_skew_s(skews, {"a", "b"}) == -7.0
    assert largest_skew_s(skews, set()) is None


def test_a_damaged_file_is_no_knowledge(folder: RunFolder) -> None:
    assert read_skews(folder) == {}
    for text in ("[1]", "{", '{"a": "x"}'):
        (folder.path / "clocks.json").write_text(text)
        assert read_skews(folder) == {}
