import asyncio
import json
import math
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from served_run import ServedRun, envelope, post

from interactive.outcome import Reason
from interactive.policy import Role
from interactive.server.series import thin
from interactive.server.state import LOST_AFTER_S


@pytest.fixture
def run(tmp_path: Path) -> ServedRun:
    return ServedRun(tmp_path / "run")


def refresh(run: ServedRun) -> None:
    asyncio.run(run.service.refresh())


def lr(value: Any) -> dict[str, Any]:
    return {"command": "update_optimizer", "lr": value}


MALFORMED = [
    lr(-1),
    lr(0),
    lr("1e9"),
    lr(None),
    lr(True),
    lr([1e-4]),
    {"command": "update_optimizer"},
    {"lr": 1e-4},
    "pause",
    None,
    {"command": "pause", "now": True},
    {"command": "load_checkpoint", "checkpoint": "step-1", "branch": "../../etc/passwd"},
    {"command": "load_checkpoint", "checkpoint": "/etc/passwd"},
    {"command": "evaluate", "evaluation": "a/b"},
    {"command": "update_mixture", "weights": {"live": -1.0}},
    {"command": "update_mixture", "fresh_rows": 1.5},
    {"command": "note", "text": ""},
]


@pytest.mark.parametrize("command", MALFORMED, ids=json.dumps)
def test_a_malformed_command_is_refused_with_a_hint(run: ServedRun, command: Any) -> None:
    got = post(run.client(), envelope(command))
    assert got.status_code == 422
    assert got.json()["code"] == "malformed"
    assert got.json()["hint"]
    assert run.service.inbox.head == 0


def test_a_command_that_does_not_exist_is_told_from_one_that_is_misspelt(run: ServedRun) -> None:
    got = post(run.client(), envelope({"command": "update_optimiser", "lr": 1e-4}))
    assert (got.status_code, got.json()["code"]) == (422, "unknown_command")
    assert "did you mean update_optimizer?" in got.json()["hint"]
    assert run.service.inbox.head == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"not json",
        b"",
        json.dumps(envelope(lr(math.nan))).encode(),
        json.dumps(envelope(lr(math.inf))).encode(),
        json.dumps(envelope({"command": "pause"}, if_generation=-1)).encode(),
        json.dumps(envelope({"command": "pause"}, issuer="root")).encode(),
    ],
)
def test_raw_nonsense_is_refused(run: ServedRun, raw: bytes) -> None:
    got = post(run.client(), raw)
    assert (got.status_code, got.json()["code"]) == (422, "malformed")


def test_a_number_out_of_bounds_is_refused_and_not_clamped(run: ServedRun) -> None:
    command_id = str(uuid.uuid4())
    got = post(run.client(), envelope(lr(1e9), command_id))
    assert (got.status_code, got.json()["code"]) == (422, Reason.OUT_OF_BOUNDS.value)
    assert "1e+09" in got.json()["hint"]
    asked = run.client().get(f"/api/commands/{command_id}").json()
    assert (asked["state"], asked["code"], asked["seq"]) == ("rejected", "out_of_bounds", None)


def test_an_agent_may_not_hold_the_run(run: ServedRun) -> None:
    for command in ("pause", "resume", "stop", "step"):
        got = post(run.client(Role.AGENT), envelope({"command": command}))
        assert (got.status_code, got.json()["code"]) == (422, "forbidden")
    assert post(run.client(Role.AGENT), envelope(lr(1e-4))).status_code == 202


def test_the_same_id_is_one_command(run: ServedRun) -> None:
    body = envelope({"command": "pause"})
    first, second = post(run.client(), body), post(run.client(), body)
    assert (first.status_code, second.status_code) == (202, 202)
    assert (
        first.json()
        == second.json()
        == {
            "command_id": body["command_id"],
            "seq": 1,
            "state": "accepted",
        }
    )
    other = post(run.client(), {**body, "reason": "another"})
    assert (other.status_code, other.json()["code"]) == (409, "id_reused")


def test_the_trainer_gets_the_accepted_commands_in_order(run: ServedRun) -> None:
    post(run.client(), envelope({"command": "pause"}, reason="look"))
    post(run.client(), envelope(lr(-1)))
    post(run.client(Role.AGENT), envelope(lr(1e-4), at_step=7))
    got = run.client(Role.TRAINER).get("/api/commands?after=0").json()
    assert got["head"] == 2
    first, second = got["commands"]
    assert first["issuer"] == {"name": "operator", "kind": "person"}
    assert first["envelope"]["reason"] == "look"
    assert second["issuer"] == {"name": "agent", "kind": "script"}
    assert second["envelope"]["at_step"] == 7
    assert second["envelope"]["command"] == lr(1e-4)
    later = run.client(Role.TRAINER).get("/api/commands?after=1").json()
    assert [one["seq"] for one in later["commands"]] == [2]
    none = run.client(Role.TRAINER).get("/api/commands?after=2").json()
    assert none == {"commands": [], "head": 2}


def test_the_trainer_may_wait_for_a_command(run: ServedRun) -> None:
    with run.client(Role.TRAINER) as trainer:
        got: list[Any] = []
        thread = threading.Thread(
            target=lambda: got.append(trainer.get("/api/commands?after=0&wait_s=30").json())
        )
        thread.start()
        operator = {"Authorization": f"Bearer {run.tokens.secret_of[Role.OPERATOR]}"}
        body = envelope({"command": "pause"})
        assert trainer.post("/api/commands", json=body, headers=operator).status_code == 202
        thread.join(20)
        assert [one["seq"] for one in got[0]["commands"]] == [1]


def test_an_outcome_may_be_waited_for(run: ServedRun) -> None:
    with run.client() as client:
        body = envelope(lr(1e-4))
        post(client, body)
        path = f"/api/commands/{body['command_id']}"
        assert client.get(path).json()["state"] == "accepted"
        assert client.get(path, params={"wait_s": 0.01}).json()["state"] == "accepted"
        got: list[Any] = []
        thread = threading.Thread(
            target=lambda: got.append(client.get(path, params={"wait_s": 30}).json())
        )
        thread.start()
        run.write_outcome(
            body["command_id"],
            step=41,
            old={"lr": 3e-4},
            requested={"lr": 1e-4},
            effective={"lr": 1e-4},
        )
        thread.join(20)
    assert got[0] == {
        "command_id": body["command_id"],
        "seq": 1,
        "state": "applied",
        "step": 41,
        "branch": "main",
        "old": {"lr": 3e-4},
        "requested": {"lr": 1e-4},
        "effective": {"lr": 1e-4},
        "code": None,
        "hint": None,
        "ledger_seq": 0,
    }


def test_outcomes_are_the_ledgers(run: ServedRun) -> None:
    ids = [str(uuid.uuid4()) for _ in range(3)]
    run.write_outcome(ids[0], "rejected", code="unknown_checkpoint", hint="latest is step-4")
    run.write_outcome(ids[1], "expired", code="expired", hint="step 9 has passed")
    of = run.write_outcome(ids[2])
    run.write_entry("failure", of=of, code="unsupported", hint="the disk is full")
    run.write_entry("failure", of=None, code="unsupported", hint="of no command")
    refresh(run)
    got = [run.client().get(f"/api/commands/{one}").json() for one in ids]
    assert [(one["state"], one["code"]) for one in got] == [
        ("rejected", "unknown_checkpoint"),
        ("expired", "expired"),
        ("failed", "unsupported"),
    ]
    assert run.client().get(f"/api/commands/{uuid.uuid4()}").status_code == 404
    assert run.client().get("/api/commands/..%2f..").status_code in (404, 422)


def test_the_status_says_how_the_run_stands(run: ServedRun) -> None:
    client, trainer = run.client(), run.client(Role.TRAINER)
    assert client.get("/api/status").json()["state"] == "waiting"
    run.write_entry("session", pid=9)
    run.write_entry("mark", mark=12)
    run.write_entry("checkpoint", step=5, checkpoint="step-4", digest="d", kept=True)
    run.write_metrics({"step": 1, "loss": 0.5, "lr": 1e-3})
    refresh(run)
    assert client.get("/api/status").json()["lr"] == 1e-3  # as the last step had it
    settings = {"optimizer": {"lr": 5e-4}, "mixture": {"weights": {"base": 1.0}}}
    beat = {"state": "training", "branch": "main", "step": 4, "mark": 12, "pid": 9}
    assert trainer.post("/api/heartbeat", json={**beat, "settings": settings}).status_code == 204
    got = client.get("/api/status").json()
    assert (got["run"], got["state"], got["branch"], got["step"]) == ("run", "training", "main", 4)
    assert (got["mark"], got["lr"], got["settings"]) == (12, 5e-4, settings)
    assert got["pids"] == {"server": 1, "trainer": 9, "window": None}
    assert got["checkpoints"] == [
        {"checkpoint": "step-4", "step": 5, "branch": "main", "kept": True}
    ]
    run.clock.now_s += LOST_AFTER_S + 1
    assert client.get("/api/status").json()["state"] == "lost"
    trainer.post("/api/heartbeat", json={**beat, "state": "paused"})
    assert client.get("/api/status").json()["state"] == "paused"
    run.write_outcome(str(uuid.uuid4()), step=5, command={"command": "stop"})
    refresh(run)
    run.clock.now_s += LOST_AFTER_S + 1
    assert client.get("/api/status").json()["state"] == "stopped"


def test_a_finished_run_is_stopped_and_a_continued_one_is_not(run: ServedRun) -> None:
    run.write_entry("session", pid=9)
    run.write_outcome(str(uuid.uuid4()), command={"command": "stop"})
    refresh(run)
    assert run.client().get("/api/status").json()["state"] == "stopped"
    run.write_entry("session", pid=10)
    refresh(run)
    assert run.client().get("/api/status").json()["state"] == "waiting"


def test_a_branch_is_where_the_run_goes_on(run: ServedRun) -> None:
    run.write_entry("mark", mark=9)
    run.write_outcome(
        str(uuid.uuid4()),
        command={"command": "load_checkpoint", "checkpoint": "main-000004"},
        effective={"branch": "b1", "checkpoint": "main-000004", "step": 4, "mark": 3},
    )
    run.write_metrics({"step": 8, "loss": 1.0}, {"step": 5, "loss": 2.0, "branch": "b1"})
    refresh(run)
    got = run.client().get("/api/status").json()
    assert (got["branch"], got["mark"], got["step"]) == ("b1", 3, 5)
    assert got["branches"] == ["main", "b1"]


def test_clips_and_problems_reach_the_status(run: ServedRun) -> None:
    run.folder.ledger.write_bytes(b"damaged\nmore\n")
    with run.client() as client:
        for _ in range(200):
            got = client.get("/api/status").json()
            if got["clips"] and got["problem"]:
                break
    assert got["clips"] == {"used": 7}
    assert "ledger.jsonl" in got["problem"]


def test_the_ledger_is_paged(run: ServedRun) -> None:
    for step in range(1, 6):
        run.write_entry("mark", step=step, mark=step)
    refresh(run)
    client = run.client()

    def steps(query: str) -> list[int]:
        return [one["step"] for one in client.get(f"/api/ledger?{query}").json()["entries"]]

    assert steps("") == [1, 2, 3, 4, 5]
    assert steps("after=1&limit=2") == [3, 4]
    assert steps("limit=2&newest=true") == [4, 5]
    assert steps("after=99") == []
    assert client.get("/api/ledger?after=-2").status_code == 422


def test_not_a_number_reaches_the_client_as_such(run: ServedRun) -> None:
    rows = [{"step": s, "loss": v} for s, v in enumerate([0.5, "NaN", "Infinity", "-Infinity"], 1)]
    run.write_metrics(*rows)
    run.write_entry("evaluation", evaluation="rollout", measures={"mse": "NaN"})
    refresh(run)
    got = run.client().get("/api/metrics?field=loss").json()
    assert got["values"] == [0.5, "NaN", "Infinity", "-Infinity"]
    assert run.client().get("/api/ledger").json()["entries"][0]["measures"] == {"mse": "NaN"}


def test_metrics_are_by_branch_and_field_and_redone_steps_count_once(run: ServedRun) -> None:
    run.write_metrics(
        {"step": 1, "loss": 3.0, "extra": {"ema": 1.0}, "digest": "abc", "commits": [1]},
        {"step": 2, "loss": 2.0, "extra": {"ema": 0.5}},
        {"step": 2, "loss": 2.0, "extra": {"ema": 0.5}},
        {"step": 2, "loss": 9.0, "branch": "b1"},
    )
    refresh(run)
    client = run.client()
    got = client.get("/api/metrics").json()
    assert (got["steps"], got["values"], got["count"]) == ([1, 2], [3.0, 2.0], 2)
    assert got["fields"] == ["extra.ema", "loss"]
    assert client.get("/api/metrics?field=extra.ema").json()["values"] == [1.0, 0.5]
    assert client.get("/api/metrics?branch=b1").json()["values"] == [9.0]
    assert client.get("/api/metrics?last=1").json()["steps"] == [2]
    assert client.get("/api/metrics?field=none").json()["steps"] == []
    assert client.get("/api/metrics?max_points=9999").status_code == 422


def test_thinning_keeps_the_extremes_the_ends_and_nan() -> None:
    values = [math.sin(i / 50) for i in range(5000)]
    values[1234], values[3210], values[4000] = 9.0, -9.0, math.nan
    kept = thin(values, 100)
    assert len(kept) <= 100
    assert kept == sorted(set(kept))
    assert {0, 1234, 3210, 4000, 4999} <= set(kept)
    assert thin(values[:100], 100) == list(range(100))
    assert len(thin([math.nan] * 1000, 30)) <= 30


def test_a_thinned_curve_is_at_most_as_long_as_asked(run: ServedRun) -> None:
    run.write_metrics(*({"step": s, "loss": 1.0 / s} for s in range(1, 300)))
    refresh(run)
    got = run.client().get("/api/metrics?max_points=50").json()
    assert len(got["steps"]) <= 50
    assert (got["count"], got["steps"][0], got["steps"][-1]) == (299, 1, 299)


def test_a_picture_is_served_by_its_listed_name_only(run: ServedRun) -> None:
    (run.folder.rollouts / "r-5.png").write_bytes(b"PNG")
    (run.folder.path / "secret.png").write_bytes(b"SECRET")
    (run.folder.rollouts / "link.png").symlink_to(run.folder.path / "secret.png")
    (run.folder.rollouts / "notes.txt").write_bytes(b"TXT")
    for name in ("rollouts/r-5.png", "rollouts/gone.png"):
        run.write_entry("evaluation", step=6, evaluation="rollout", measures={}, picture=name)
    refresh(run)
    client = run.client()
    assert client.get("/api/rollouts").json()["rollouts"] == [
        {"name": "r-5.png", "step": 6, "branch": "main", "evaluation": "rollout"}
    ]
    got = client.get("/api/rollouts/r-5.png")
    assert (got.content, got.headers["content-type"]) == (b"PNG", "image/png")
    for name in ("link.png", "notes.txt", "..%2Fsecret.png", "%2e%2e%2fsecret.png", ".."):
        assert client.get(f"/api/rollouts/{name}").status_code == 404
