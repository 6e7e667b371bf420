import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn
from served_run import ServedRun

from interactive.client import (
    NotAllowed,
    RunClient,
    ServerUnreachable,
    TimedOut,
    new_command_id,
)
from interactive.commands import Pause, UpdateOptimizer
from interactive.event_stream import parse_events
from interactive.outcome import CommandState
from interactive.policy import Role


@pytest.fixture
def run(tmp_path: Path) -> ServedRun:
    return ServedRun(tmp_path / "run")


@pytest.fixture
def url(run: ServedRun) -> Iterator[str]:
    """Serve the run on a free port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(run.app, log_level="error", timeout_graceful_shutdown=0)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


def connect(run: ServedRun, url: str, role: Role = Role.OPERATOR) -> RunClient:
    return RunClient.connect(url, run.tokens.secret_of[role])


def test_an_envelope_says_when(run: ServedRun, url: str) -> None:
    other = new_command_id()
    with connect(run, url) as client:
        client.send(Pause(), after_evaluation=True, branch="b", supersedes=other)
        (sent,) = run.service.inbox.after(0)
    envelope = sent.envelope
    assert (envelope.after_evaluation, envelope.branch, envelope.supersedes) == (True, "b", other)


def test_a_command_is_followed_to_its_outcome(run: ServedRun, url: str) -> None:
    command_id = new_command_id()
    effect: dict[str, Any] = {
        "old": {"lr": 2e-4},
        "requested": {"lr": 1e-4},
        "effective": {"lr": 1e-4},
    }
    run.write_outcome(str(command_id), step=3, **effect)
    with connect(run, url) as client:
        answer = client.send(
            UpdateOptimizer(lr=1e-4), reason="try", command_id=command_id, at_step=3, wait_s=20
        )
    assert (answer.state, answer.seq, answer.step) == (CommandState.APPLIED, 1, 3)
    assert (answer.branch, answer.old, answer.effective) == ("main", {"lr": 2e-4}, {"lr": 1e-4})
    request = run.service.inbox.after(0)[0]
    assert (request.envelope.reason, request.envelope.at_step) == ("try", 3)


def test_a_refusal_is_an_answer_and_no_exception(run: ServedRun, url: str) -> None:
    with connect(run, url) as client:
        refused = client.send({"command": "update_optimizer", "lr": -1})
        assert (refused.state, refused.code) == (CommandState.REJECTED, "malformed")
        taken = new_command_id()
        client.send(Pause(), command_id=taken)
        reused = client.send(Pause(), command_id=taken, reason="again")
        assert (reused.state, reused.code) == (CommandState.REJECTED, "id_reused")


def test_what_goes_wrong_has_a_name(run: ServedRun, url: str) -> None:
    with connect(run, url, Role.VIEWER) as viewer, pytest.raises(NotAllowed, match="viewer"):
        viewer.send(Pause())
    with RunClient.connect(url, "wrong") as nobody, pytest.raises(NotAllowed):
        nobody.status()
    with connect(run, url) as client, pytest.raises(TimedOut) as caught:
        client.send(Pause(), wait_s=0.01)
    assert caught.value.answer.state is CommandState.ACCEPTED
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with RunClient.connect(f"http://127.0.0.1:{port}", "t") as lost:
        with pytest.raises(ServerUnreachable):
            lost.status()
        with pytest.raises(ServerUnreachable):
            next(lost.events())


def test_a_run_is_read_through_the_client(run: ServedRun, url: str) -> None:
    run.write_metrics({"step": 1, "loss": 2.0}, {"step": 2, "loss": "NaN"})
    for mark in range(3):
        run.write_entry("mark", mark=mark)
    with connect(run, url) as client:
        for _ in range(1000):
            if client.status()["cursor"] == "3.2":
                break
            time.sleep(0.01)
        assert client.status()["run"] == "run"
        assert [entry["mark"] for entry in client.ledger(after=0)] == [1, 2]
        curve = client.metrics("loss")
        assert (curve.steps, curve.values[0], str(curve.values[1])) == ((1, 2), 2.0, "nan")
        assert client.rollouts() == []
        secret = client.login_url().partition("#login=")[2]
    assert httpx.post(f"{url}/api/login", json={"token": secret}).status_code == 204


def test_events_arrive_live_and_resume(run: ServedRun, url: str) -> None:
    run.write_entry("mark", mark=0)
    with connect(run, url) as client:
        events = client.events("0.0")
        first = next(event for event in events if event.kind == "ledger")
        assert first.data["mark"] == 0
        run.write_entry("mark", mark=1)
        live = next(event for event in events if event.kind == "ledger")
        assert (live.data["mark"], live.cursor) == (1, "2.0")
        events.close()  # type: ignore[attr-defined]
        resumed = next(event for event in client.events(first.cursor) if event.kind == "ledger")
        assert resumed == live


def test_a_cut_event_is_left_out() -> None:
    lines = ["id: 1.0", "event: ledger", 'data: {"seq":0}', "", ": ping", "", "id: 2.0", "event: x"]
    assert [event.cursor for event in parse_events(lines)] == ["1.0"]


def test_command_ids_are_uuids_of_version_7_in_the_order_of_time() -> None:
    ids = [new_command_id(lambda s=s: s, lambda bits: (1 << bits) - 1) for s in (1.0, 2.0, 1e9)]  # type: ignore[misc]
    assert ids == sorted(ids)
    assert {one.version for one in ids} == {7}
    assert {one.variant for one in ids} == {UUID(int=0x8 << 60 | 7 << 76).variant}
    assert int(ids[2].hex[:12], 16) == 10**12
    assert new_command_id() != new_command_id()
