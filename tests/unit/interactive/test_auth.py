import stat
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from served_run import ServedRun, envelope, post

from interactive.policy import Role
from interactive.server.auth import SESSION_S, check_bind
from interactive.server.security import HEADERS
from interactive.server.tokens import create_tokens, read_token


@pytest.fixture
def run(tmp_path: Path) -> ServedRun:
    return ServedRun(tmp_path / "run")


def test_tokens_are_private_distinct_and_kept(run: ServedRun) -> None:
    assert stat.S_IMODE(run.folder.tokens.stat().st_mode) == 0o600
    assert len(set(run.tokens.secret_of.values())) == len(Role)
    assert create_tokens(run.folder).secret_of == run.tokens.secret_of
    assert read_token(run.folder.tokens, Role.TRAINER) == run.tokens.secret_of[Role.TRAINER]
    assert run.folder.read_token("trainer") == run.tokens.secret_of[Role.TRAINER]


def test_a_token_file_may_be_one_bare_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abcdef\n")
    assert read_token(tmp_path / "token", Role.OPERATOR) == "abcdef"


READS = ["/api/status", "/api/ledger", "/api/metrics", "/api/rollouts"]
NOBODY_BUT = {
    "read": {Role.VIEWER, Role.AGENT, Role.OPERATOR, Role.ADMIN},
    "send": {Role.AGENT, Role.OPERATOR, Role.ADMIN},
    "take": {Role.TRAINER},
    "mint": {Role.OPERATOR, Role.ADMIN},
}


@pytest.mark.parametrize("role", list(Role))
def test_a_role_may_do_what_it_is_for_and_no_more(run: ServedRun, role: Role) -> None:
    client = run.client(role)
    for path in READS:
        assert client.get(path).status_code == (200 if role in NOBODY_BUT["read"] else 403)
    sent = post(client, envelope({"command": "note", "text": "hello"}))
    assert sent.status_code == (202 if role in NOBODY_BUT["send"] else 403)
    taken = client.get("/api/commands")
    assert taken.status_code == (200 if role in NOBODY_BUT["take"] else 403)
    beat = client.post("/api/heartbeat", json={"state": "training"})
    assert beat.status_code == (204 if role in NOBODY_BUT["take"] else 403)
    minted = client.post("/api/login/secret")
    assert minted.status_code == (200 if role in NOBODY_BUT["mint"] else 403)


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Cookie": "x"}]
)
def test_strangers_get_nothing(run: ServedRun, header: dict[str, str]) -> None:
    client = run.client(None)
    for path in [*READS, "/api/commands", "/api/events", "/api/rollouts/a.png"]:
        assert client.get(path, headers=header).status_code == 401
    assert client.get("/").status_code == 200  # the page holds no data


def test_a_collector_sees_the_progress_and_nothing_else(run: ServedRun) -> None:
    client = run.client(Role.COLLECTOR)
    shown = client.get("/api/progress")
    assert shown.status_code == 200
    assert set(shown.json()) == {"state", "branch", "step"}
    assert client.get("/api/status").status_code == 403
    assert run.client(None).get("/api/progress").status_code == 401


def test_only_the_collector_and_the_admin_may_send_clips(run: ServedRun) -> None:
    router = APIRouter()

    @router.post("/ingest", dependencies=[_depends(run.auth.authorise("collector"))])
    def ingest() -> None: ...

    run.app.include_router(router)
    allowed = {role for role in Role if run.client(role).post("/ingest").status_code == 200}
    assert allowed == {Role.COLLECTOR, Role.ADMIN}


def _depends(dependency: Any) -> Any:
    from fastapi import Depends

    return Depends(dependency)


def test_a_one_time_url_opens_one_session(run: ServedRun) -> None:
    url = run.auth.one_time_url("http://127.0.0.1:8000/")
    address, _, secret = url.partition("#login=")
    assert address == "http://127.0.0.1:8000/"
    page = {"Origin": "http://127.0.0.1"}

    browser = run.client(None)
    opened = browser.post("/api/login", json={"token": secret}, headers=page)
    assert opened.status_code == 204
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert browser.get("/api/status").status_code == 200
    assert run.client(None).post("/api/login", json={"token": secret}).status_code == 401

    restarted = run.client(None, run.restarted())
    restarted.cookies = browser.cookies
    assert restarted.get("/api/status").status_code == 200
    run.clock.now_s += SESSION_S + 1
    assert restarted.get("/api/status").status_code == 401


def test_a_forged_session_is_none(run: ServedRun) -> None:
    client = run.client(None)
    good = run.auth.open_session(run.tokens.secret_of[Role.VIEWER])
    assert good is not None
    for forged in (good.replace("viewer", "admin"), good[:-1] + "x", "..", "admin.9e9."):
        headers = {"Cookie": f"{run.auth.cookie}={forged}"}
        assert client.get("/api/status", headers=headers).status_code == 401
    headers = {"Cookie": f"{run.auth.cookie}={good}"}
    assert client.get("/api/status", headers=headers).status_code == 200


def test_another_page_may_not_act_for_the_browser(run: ServedRun) -> None:
    browser = run.client(None)
    secret = run.auth.mint_one_time(Role.OPERATOR)
    browser.post("/api/login", json={"token": secret}, headers={"Origin": "http://127.0.0.1"})
    body = envelope({"command": "pause"})
    for origin in ("http://evil.example", "http://127.0.0.1:9", "null", None):
        headers = {} if origin is None else {"Origin": origin}
        assert browser.post("/api/commands", json=body, headers=headers).status_code == 403
    assert run.service.inbox.head == 0
    own = {"Origin": "http://127.0.0.1"}
    assert browser.post("/api/commands", json=body, headers=own).status_code == 202


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "[", "a@127.0.0.1x"]
)
def test_dns_rebinding_is_refused(run: ServedRun, host: str) -> None:
    assert run.client().get("/api/status", headers={"Host": host}).status_code == 421
    assert run.client().get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:8000"])
def test_loopback_names_are_known(run: ServedRun, host: str) -> None:
    assert run.client().get("/api/status", headers={"Host": host}).status_code == 200


def test_a_body_over_the_cap_is_refused_with_and_without_a_length(run: ServedRun) -> None:
    big = b" " * (64 * 1024 + 1)
    assert post(run.client(), big).status_code == 413
    streamed = run.client().post("/api/commands", content=iter([big[:40000], big[40000:]]))
    assert streamed.status_code == 413
    assert run.service.inbox.head == 0


def test_every_answer_carries_the_strict_headers(run: ServedRun) -> None:
    for path in ("/", "/app.js", "/api/status", "/nowhere"):
        got = run.client().get(path)
        for name, value in HEADERS.items():
            assert got.headers[name] == value
        assert "access-control-allow-origin" not in got.headers
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert run.client().get("/api/status").headers["cache-control"] == "no-store"


def test_a_server_for_other_machines_must_be_asked_for() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8"):
        assert check_bind(host, allow_remote=False) is None
    for host in ("0.0.0.0", "::", "192.168.1.5", "", "example.org"):
        assert check_bind(host, allow_remote=False) is not None
        assert check_bind(host, allow_remote=True) is None


def test_secrets_are_in_no_answer(run: ServedRun) -> None:
    client = run.client(Role.ADMIN)
    text = "".join(client.get(path).text for path in [*READS, "/openapi.json", "/"])
    assert not [secret for secret in run.tokens.secret_of.values() if secret in text]
