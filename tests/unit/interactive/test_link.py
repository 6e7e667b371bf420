from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from interactive.record.data_log import DataLog
from interactive.record.run_folder import RunFolder, ServerAddress
from interactive.server.heartbeat import Heartbeat
from interactive.steering.link import Link
from interactive.steering.steered import Status
from tests.fakes import data_row, make_run

STATUS = Status("training", 7, "main", 3, {"lr": float("nan")})
SAFETY_S = 20.0
"""Only ever waited for in full by a test that fails."""


class FakeServer:
    """Answers as the run's server does, without a network; it can be away."""

    def __init__(self) -> None:
        self.commands: list[Any] = []
        self.rows: list[Any] = []
        self.beats: list[Any] = []
        self.token = "secret"
        self.is_away = False
        self.requests = 0
        self.changed = threading.Condition()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self.changed:
            self.requests += 1
            if self.is_away:
                self.changed.notify_all()
                raise httpx.ConnectError("refused")
            self.changed.notify_all()
            if request.headers["authorization"] != f"Bearer {self.token}":
                return httpx.Response(401)
            if request.method == "POST":
                self.beats.append(json.loads(request.content))
                return httpx.Response(204)
            after = int(request.url.params["after"])
            key = {"/api/commands": "commands", "/commits": "rows"}[request.url.path]
            number = {"commands": "seq", "rows": "commit"}[key]
            found = [obj for obj in getattr(self, key) if obj[number] > after]
            if not found:
                self.changed.wait(0.01)
            return httpx.Response(200, json={key: found, "head": len(self.commands)})

    def wait_for(self, is_so: Callable[[], bool]) -> bool:
        with self.changed:
            return self.changed.wait_for(is_so, SAFETY_S)


def sent(seq: int, command: Any = None) -> dict[str, Any]:
    return {
        "seq": seq,
        "issuer": {"name": "ann", "kind": "person"},
        "envelope": {
            "command_id": str(UUID(int=seq)),
            "command": command or {"command": "pause"},
        },
    }


def write_token(folder: RunFolder, token: str) -> None:
    folder.tokens.write_text(json.dumps({"tokens": [{"role": "trainer", "token": token}]}))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = make_run(tmp_path / "run")
    folder.write_server(ServerAddress("http://127.0.0.1:1", 1))
    write_token(folder, "secret")
    return folder


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def link(folder: RunFolder, server: FakeServer, warnings: list[str]) -> Iterator[Link]:
    link = Link(
        folder,
        DataLog.open(folder.data, writable=True),
        warn=warnings.append,
        transport=httpx.MockTransport(server),
    )
    yield link
    link.close()


@pytest.fixture
def client(server: FakeServer) -> httpx.Client:
    headers = {"Authorization": "Bearer secret"}
    transport = httpx.MockTransport(server)
    return httpx.Client(base_url="http://run", headers=headers, transport=transport)


def test_commands_arrive_once_and_in_order(
    link: Link, client: httpx.Client, server: FakeServer
) -> None:
    server.commands = [sent(1), sent(2)]
    link.fetch_commands(client)
    server.commands += [sent(4)]
    link.fetch_commands(client)
    assert link.command_head == 4
    arrived = link.commands()
    assert [d.seq for d in arrived] == [1, 2, 4]
    assert [d.issuer.name for d in arrived] == ["ann"] * 3
    assert link.commands() == []


def test_what_makes_no_sense_is_handed_on_as_such(
    link: Link, client: httpx.Client, server: FakeServer, warnings: list[str]
) -> None:
    server.commands = [sent(1, {"command": "explode"}), {"seq": 2}, sent(3)]
    link.fetch_commands(client)
    broken, whole = link.commands()
    assert (broken.seq, broken.envelope) == (1, None)
    assert broken.command_id == str(UUID(int=1))
    assert broken.problem
    assert whole.envelope is not None
    assert len(warnings) == 1


def test_rows_are_durable_before_the_head_shows_them(
    link: Link, client: httpx.Client, server: FakeServer, folder: RunFolder
) -> None:
    server.rows = [dict(data_row(1).body), dict(data_row(2).body)]
    link.fetch_rows(client)
    assert link.data_head == 2
    assert DataLog.open(folder.data).head == 2
    assert [row.body["source"] for row in link.rows(0, 2)] == ["live", "live"]


def test_a_closed_link_writes_nothing_more(
    link: Link, client: httpx.Client, server: FakeServer, folder: RunFolder
) -> None:
    server.rows = [dict(data_row(1).body)]
    link.close()
    link.fetch_rows(client)
    assert folder.data.read_bytes() == b""


def test_the_heartbeat_says_where_the_run_stands(
    link: Link, client: httpx.Client, server: FakeServer
) -> None:
    link.send_heartbeat(client, STATUS)
    (beat,) = server.beats
    assert (beat["state"], beat["step"], beat["branch"], beat["mark"]) == ("training", 7, "main", 3)
    assert beat["settings"] == {"lr": "NaN"}
    assert beat["pid"] > 0


def test_the_end_is_told_at_once_or_in_vain(link: Link, server: FakeServer) -> None:
    link.close()
    link.say_goodbye(replace(STATUS, state="stopped"))
    server.is_away = True
    link.say_goodbye(replace(STATUS, state="stopped"))
    assert [beat["state"] for beat in server.beats] == ["stopped"]


def test_a_heartbeat_is_one_that_the_server_takes(
    link: Link, client: httpx.Client, server: FakeServer
) -> None:
    for state in ("recovering", "waiting", "training", "paused", "stopped"):
        link.send_heartbeat(client, replace(STATUS, state=state))
    assert [Heartbeat.model_validate(beat).state.value for beat in server.beats] == [
        "recovering",
        "waiting",
        "training",
        "paused",
        "stopped",
    ]


def test_a_server_that_goes_and_comes_is_found_again_with_its_new_token(
    link: Link, server: FakeServer, folder: RunFolder, warnings: list[str]
) -> None:
    server.is_away = True
    link.start(lambda: STATUS)
    with server.changed:
        write_token(folder, "renewed")
        server.token = "renewed"
        server.commands, server.rows = [sent(1)], [dict(data_row(1).body)]
        server.is_away = False
    assert server.wait_for(lambda: bool(server.beats))
    while not (link.command_head == 1 and link.data_head == 1):
        link.wait(SAFETY_S)
    assert [d.seq for d in link.commands()] == [1]


def test_without_a_server_nothing_is_said_and_nothing_stops(
    link: Link, folder: RunFolder, warnings: list[str]
) -> None:
    folder.server.unlink()
    link.start(lambda: STATUS)
    link.wait(0.01)
    link.close()
    assert (link.commands(), link.data_head, warnings) == ([], 0, [])


def test_it_tells_for_how_long_the_server_has_been_away(
    server: FakeServer, folder: RunFolder
) -> None:
    now_s = [0.0]
    link = Link(
        folder,
        DataLog.open(folder.data, writable=True),
        warn=print,
        transport=httpx.MockTransport(server),
        monotonic=lambda: now_s[0],
    )
    now_s[0] = 60.0
    assert link.away_s == 60.0
    link.start(lambda: STATUS)
    # Three threads talk: at least one of them has been answered and has come again.
    assert server.wait_for(lambda: server.requests > 6)
    assert link.away_s == 0.0
    link.close()


def test_an_answer_that_is_no_answer_is_survived(folder: RunFolder, warnings: list[str]) -> None:
    seen = threading.Semaphore(0)

    def answer(request: httpx.Request) -> httpx.Response:
        seen.release()
        return httpx.Response(200, content=b"<html>")

    link = Link(
        folder,
        DataLog.open(folder.data, writable=True),
        warn=warnings.append,
        transport=httpx.MockTransport(answer),
    )
    link.start(lambda: STATUS)
    for _ in range(5):
        assert seen.acquire(timeout=SAFETY_S)
    link.close()
    assert link.command_head == 0
