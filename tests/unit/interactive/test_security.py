"""Who gets in, from where, and what never gets out; see test_sockets.py for floods."""

import asyncio
import json
import logging
import re
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from composed_run import composed, routes_of
from served_run import ServedRun, envelope, post

from experiments.wandb_mirror import Mirror
from interactive.policy import GRANTS, Role
from interactive.record.metrics import MetricsRow
from interactive.server.events import Cursor, stream
from interactive.server.pace import Pace, Rate
from interactive.server.page import FILES
from interactive.server.security import CONTROL_BODY_BYTES
from interactive.trainer import StepRecord

NEEDS: dict[tuple[str, str], Role | None] = {
    **{("GET", address): None for address in FILES},
    ("POST", "/api/login"): None,
    ("POST", "/api/login/secret"): Role.OPERATOR,
    ("POST", "/api/commands"): Role.AGENT,
    ("POST", "/api/commands/check"): Role.AGENT,
    ("GET", "/api/commands"): Role.TRAINER,
    ("GET", "/api/commands/{command_id}"): Role.VIEWER,
    ("POST", "/api/commands/{command_id}/approve"): Role.OPERATOR,
    ("POST", "/api/commands/{command_id}/veto"): Role.OPERATOR,
    ("GET", "/api/approvals"): Role.VIEWER,
    ("GET", "/api/agents"): Role.VIEWER,
    ("POST", "/api/agents/halt"): Role.OPERATOR,
    ("POST", "/api/agents/allow"): Role.OPERATOR,
    ("POST", "/api/heartbeat"): Role.TRAINER,
    ("GET", "/api/status"): Role.VIEWER,
    ("GET", "/api/progress"): Role.COLLECTOR,
    ("GET", "/api/ledger"): Role.VIEWER,
    ("GET", "/api/metrics"): Role.VIEWER,
    ("GET", "/api/rollouts"): Role.VIEWER,
    ("GET", "/api/rollouts/{name}"): Role.VIEWER,
    ("GET", "/api/events"): Role.VIEWER,
    ("GET", "/api/openapi.json"): Role.VIEWER,
    ("POST", "/api/jobs"): Role.AGENT,
    ("GET", "/api/jobs"): Role.VIEWER,
    ("GET", "/api/jobs/{job_id}"): Role.VIEWER,
    ("POST", "/api/jobs/{job_id}/cancel"): Role.OPERATOR,
    ("PUT", "/traces/{trace_id}"): Role.COLLECTOR,
    ("DELETE", "/traces/{trace_id}"): Role.COLLECTOR,
    ("GET", "/traces/{trace_id}"): Role.VIEWER,
    ("PUT", "/traces/{trace_id}/clips/{seq}"): Role.COLLECTOR,
    ("DELETE", "/traces/{trace_id}/clips"): Role.COLLECTOR,
    ("GET", "/traces"): Role.VIEWER,
    ("GET", "/commits"): Role.TRAINER,
}
"""The role that each route asks for; None is open to strangers. A new route needs a line here."""

ACTS = [key for key in NEEDS if key[0] != "GET"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRun]:
    with composed(tmp_path_factory.mktemp("whole") / "run") as run:
        yield run


@pytest.fixture
def run(tmp_path: Path) -> ServedRun:
    return ServedRun(tmp_path / "run")


def ask(client: Any, method: str, path: str, **more: Any) -> Any:
    path = re.sub(r"\{(command_id|job_id)\}", str(uuid.uuid4()), path)
    path = path.replace("{name}", "a.png").replace("{trace_id}", "t").replace("{seq}", "0")
    if path == "/api/events":
        path += "?after=" + "x" * 41  # refused once it is allowed: the stream has no end
    return client.request(method, path, **more)


def test_no_route_is_without_a_line_in_the_table(whole: ServedRun) -> None:
    routes = routes_of(whole.app)
    assert [route for route in routes if route not in NEEDS] == []
    assert len(routes) >= len(NEEDS) - 4  # all but the jobs, where no runner of jobs is there


@pytest.mark.parametrize("who", [None, *Role], ids=str)
def test_every_route_lets_in_its_role_and_nobody_else(whole: ServedRun, who: Role | None) -> None:
    client = whole.client(who)
    for method, path in routes_of(whole.app):
        needed = NEEDS[method, path]
        status = ask(client, method, path).status_code
        if needed is None:
            assert status in (200, 422), (method, path)
        elif who is None:
            assert status == 401, (method, path)
        elif needed not in GRANTS[who]:
            assert status == 403, (method, path)
        else:
            assert status not in (401, 403, 500), (method, path)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "127.0.0.1@evil"]
)
def test_another_host_name_is_rebinding(whole: ServedRun, host: str) -> None:
    for method, path in routes_of(whole.app):
        got = ask(whole.client(Role.ADMIN), method, path, headers={"Host": host})
        assert got.status_code == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8080", ""])
def test_a_page_of_another_origin_may_not_act(whole: ServedRun, origin: str) -> None:
    value = whole.client(None).post(
        "/api/login", json={"token": whole.tokens.secret_of[Role.ADMIN]}
    )
    cookie = value.headers["set-cookie"].partition(";")[0]
    for method, path in ACTS:
        headers = {"Origin": origin, "Cookie": cookie}
        assert ask(whole.client(None), method, path, headers=headers).status_code == 403
    # A cookie without an origin is no browser of ours either.
    got = ask(whole.client(None), "POST", "/api/agents/halt", headers={"Cookie": cookie})
    assert got.status_code == 403


def test_a_socket_from_another_origin_is_closed(run: ServedRun) -> None:
    sent: list[Any] = []

    async def connect(headers: list[tuple[bytes, bytes]]) -> None:
        async def receive() -> dict[str, str]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "websocket", "path": "/api/play", "headers": headers, "scheme": "ws"}
        await run.app({**scope, "query_string": b"", "subprotocols": []}, receive, send)

    asyncio.run(connect([(b"host", b"127.0.0.1"), (b"origin", b"http://evil.example")]))
    asyncio.run(connect([(b"host", b"evil.example")]))
    assert [(one["type"], one["code"]) for one in sent] == [("websocket.close", 1008)] * 2


PATHS = ["../x", "..", "/etc/passwd", "a/b", "a\\b", "%2e%2e%2fx", "x\x00y", ".hidden", "a" * 200]


@pytest.mark.parametrize("name", PATHS)
def test_a_path_is_no_name(whole: ServedRun, name: str) -> None:
    operator, admin = whole.client(), whole.client(Role.ADMIN)
    commands: list[dict[str, Any]] = [
        {"command": "load_checkpoint", "checkpoint": name},
        {"command": "load_checkpoint", "checkpoint": "main-000001", "branch": name},
        {"command": "evaluate", "evaluation": name},
        {"command": "update_dataset", "attach": name},
        {"command": "module_operation", "operation": name, "module": "head"},
    ]
    for command in commands:
        assert post(operator, envelope(command)).json()["code"] == "malformed"
    quoted = name.replace("%", "%25").replace("/", "%2F").replace("\x00", "%00")
    assert operator.get(f"/api/rollouts/{quoted}").status_code in (404, 422)
    assert admin.put(f"/traces/{quoted}", json={}).status_code in (400, 404, 405, 422)
    inside = {path.name for path in whole.folder.path.parent.iterdir()}
    assert inside == {whole.folder.path.name}


def test_a_body_is_capped_with_and_without_a_length(run: ServedRun) -> None:
    client, large = run.client(), b"x" * (CONTROL_BODY_BYTES + 1)
    assert client.post("/api/commands", content=large).status_code == 413
    pieces = (large[i : i + 1000] for i in range(0, len(large), 1000))
    assert client.post("/api/commands", content=pieces).status_code == 413
    for length in ("1073741824", "-1", "1e9", "9" * 30, "0x10"):
        got = client.post("/api/commands", content=b"", headers={"Content-Length": length})
        assert got.status_code == 413
    assert run.service.inbox.head == 0


def test_of_many_who_use_a_one_time_url_at_once_one_gets_in(run: ServedRun) -> None:
    secret = run.auth.mint_one_time(Role.OPERATOR)
    found: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(run.auth.open_session(secret)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([one for one in found if one is not None]) == 1


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(run: ServedRun) -> None:
    secret = run.auth.mint_one_time(Role.OPERATOR)
    got = run.client(None).post("/api/login", json={"token": secret})
    flags = {flag.strip().lower() for flag in got.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= flags
    assert not any(flag.startswith("domain") for flag in flags)


# ---- rates


def test_who_is_too_fast_waits_and_nobody_else_does(run: ServedRun) -> None:
    run.auth._strangers = Pace(Rate(per_s=1.0, burst=3.0), run.clock)
    run.auth._known = Pace(Rate(per_s=1.0, burst=5.0), run.clock)
    stranger, viewer, operator = run.client(None), run.client(Role.VIEWER), run.client()
    assert [stranger.get("/api/status").status_code for _ in range(5)] == [401] * 3 + [429] * 2
    assert stranger.post("/api/login", json={"token": "wrong-token"}).status_code == 429
    got = [viewer.get("/api/status").status_code for _ in range(7)]
    assert got == [200] * 5 + [429] * 2
    assert operator.get("/api/status").status_code == 200
    trainer = run.client(Role.TRAINER)
    assert {trainer.get("/api/commands").status_code for _ in range(50)} == {200}
    run.clock.now_s += 2
    assert stranger.get("/api/status").status_code == 401
    assert viewer.get("/api/status").status_code == 200


def test_clients_that_are_long_gone_take_no_memory() -> None:
    pace = Pace(Rate(per_s=1.0, burst=2.0), lambda: 0.0)
    for number in range(10_000):
        assert pace.allows(str(number))
    assert len(pace._buckets) <= 4096


# ---- secrets


ROW = MetricsRow.of(
    StepRecord(1, loss=1.0, grad_norm=0.5, lr=1e-3), branch="main", mark=0, entries=2, wall_s=0.0
)


def everything_in(folder: Path, but: Path) -> bytes:
    """Return the bytes of all files of a folder, names included, but for the token file."""
    files = [path for path in folder.rglob("*") if path.is_file() and path != but]
    return b"".join(str(path).encode() + path.read_bytes() for path in files)


def place_everywhere(run: ServedRun, secret: str) -> list[Any]:
    """Put a secret wherever a client can put text; return what is answered."""
    client = run.client(Role.ADMIN)
    stranger = run.client(None)
    answers = [
        post(client, envelope({"command": "note", "text": f"my token is {secret}"})),
        post(client, envelope({"command": "pause"}, reason=secret)),
        post(client, envelope({"command": secret})),
        post(client, envelope({"command": "load_checkpoint", "checkpoint": secret})),
        post(client, secret.encode()),
        client.post(f"/api/commands/{uuid.uuid4()}/veto", json={"reason": secret}),
        client.post("/api/agents/halt", json={"reason": secret}),
        client.post("/api/agents/halt", json={secret: secret}),
        stranger.post("/api/login", json={"token": secret * 9}),
        stranger.post("/api/login", json={"tokens": secret}),
        client.get(f"/api/rollouts/{secret}"),
        client.get(f"/api/commands/{secret}"),
        client.get(f"/api/{secret}"),
        client.get("/api/metrics", params={"field": secret * 3, "max_points": secret}),
        client.get("/api/ledger", params={"after": secret}),
        client.put(f"/traces/{secret}", json={"trace_id": secret}),
        client.get(f"/traces/{secret}"),
        client.get("/api/status", headers={"Host": secret}),
        client.get("/api/status", headers={"X-Secret": secret, "Cookie": f"a={secret}"}),
        stranger.get("/api/status", headers={"Authorization": f"Bearer {secret}x"}),
        stranger.get("/api/status", headers={"Authorization": secret}),
        client.request(secret[:8], "/api/status"),
    ]
    run.client(Role.TRAINER).post("/api/heartbeat", json={"state": secret})
    return answers


def test_no_secret_is_written_or_shown_anywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("WANDB_MODE", "offline")
    with composed(tmp_path / "run") as run:
        one_time = run.auth.mint_one_time(Role.ADMIN)
        secrets = [*run.tokens.secret_of.values(), one_time, run.tokens.session_key]
        session = run.client(None).post("/api/login", json={"token": secrets[0]})
        secrets.append(session.headers["set-cookie"].partition("=")[2].partition(";")[0])
        answers = [one for secret in secrets[: len(Role)] for one in place_everywhere(run, secret)]
        run.write_entry("session", capabilities={})
        run.write_outcome(str(uuid.uuid4()), reason="flat", effective={"lr": 1e-3})
        run.write_metrics(ROW.to_json())

        async def read() -> str:
            await run.service.refresh()
            events = stream(run.service, Cursor.parse("0.0"), run.clock)
            return "".join([await anext(events) for _ in range(4)])

        streamed = asyncio.run(asyncio.wait_for(read(), 20))
        mirror = Mirror(run.folder, "offline")
        mirror.catch_up()
        mirror.close()
        shown = "".join(f"{one.headers}{one.text}" for one in answers) + streamed
        shown += json.dumps(run.client().get("/api/status").json())
        written = everything_in(run.folder.path, run.folder.tokens)
        run.service.inbox.close()
    captured = capfd.readouterr()
    ours = [one for one in caplog.records if not one.name.startswith(("httpx", "asyncio"))]
    logged = "".join(one.getMessage() for one in ours) + captured.out + captured.err
    assert b"inbox.db" in written
    assert b".wandb" in written
    for secret in secrets:
        assert [one for one in answers if secret in f"{one.headers}{one.text}"] == []
        assert secret not in shown
        assert secret not in logged
        assert secret.encode() not in written
