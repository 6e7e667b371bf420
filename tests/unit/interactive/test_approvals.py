"""Commands that wait for a person: held, let through in the order of release, or vetoed."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from served_run import Clock, ServedRun, envelope, post

from experiments.commands.ctl import ctl
from interactive.client import RunClient
from interactive.outcome import CommandState, Issuer, IssuerKind
from interactive.policy import Hold, Role
from interactive.record.run_folder import ServerAddress
from interactive.server.inbox import Inbox, Receipt
from interactive.steering.scribe import intervention_head
from interactive.steering.source import parse_delivered

ANNA = Issuer("anna", IssuerKind.PERSON)
RULE = Issuer("rule", IssuerKind.SCRIPT)
LOAD = {"command": "load_checkpoint", "checkpoint": "main-000004"}
RESET = {"command": "module_operation", "operation": "reset_parameters", "module": "head"}


@pytest.fixture
def run(tmp_path: Path) -> ServedRun:
    return ServedRun(tmp_path / "run")


def send(run: ServedRun, command: Any, role: Role = Role.AGENT, **more: Any) -> Any:
    return post(run.client(role), envelope(command, **more)).json()


def decide(run: ServedRun, command_id: str, verb: str, reason: str = "", **more: Any) -> Any:
    path = f"/api/commands/{command_id}/{verb}"
    return run.client(**more).post(path, json={"reason": reason})


def delivered_ids(run: ServedRun) -> list[str]:
    got = run.client(Role.TRAINER).get("/api/commands").json()
    return [one["envelope"]["command_id"] for one in got["commands"]]


def test_it_is_delivered_once_a_person_says_yes(run: ServedRun) -> None:
    held = send(run, RESET, reason="dead units")
    assert (held["state"], held["seq"]) == ("awaiting_approval", None)
    after = send(run, {"command": "note", "text": "after"})
    assert delivered_ids(run) == [after["command_id"]]
    shown = run.client(Role.VIEWER).get("/api/approvals").json()["approvals"]
    assert [(one["command_id"], one["command"], one["reason"]) for one in shown] == [
        (held["command_id"], RESET, "dead units")
    ]
    assert shown[0]["releases_s"] is None

    run.clock.now_s += 5
    got = decide(run, held["command_id"], "approve", "agreed")
    assert (got.status_code, got.json()["seq"]) == (200, 2)
    assert delivered_ids(run) == [after["command_id"], held["command_id"]]
    assert run.client().get("/api/approvals").json() == {"approvals": []}
    decided = run.client().get("/api/approvals?decided=5").json()["approvals"]
    assert decided[0]["decision"]["name"] == "operator"


def test_the_ledger_says_who_approved_when_and_why(run: ServedRun) -> None:
    held = send(run, RESET)
    decide(run, held["command_id"], "approve", "agreed")
    got = run.client(Role.TRAINER).get("/api/commands").json()["commands"]
    body = intervention_head(parse_delivered(got[0]), CommandState.APPLIED)
    assert body["issuer"] == {"name": "agent", "kind": "script"}
    assert body["approved_by"] == {
        "name": "operator",
        "kind": "person",
        "reason": "agreed",
        "wall_s": 1000.0,
    }
    send(run, {"command": "note", "text": "needs nobody"})
    got = run.client(Role.TRAINER).get("/api/commands?after=1").json()["commands"]
    assert "approved_by" not in intervention_head(parse_delivered(got[0]), CommandState.APPLIED)


def test_a_veto_is_final_and_says_why(run: ServedRun) -> None:
    held = send(run, RESET)
    assert decide(run, held["command_id"], "veto", "not now").json()["state"] == "vetoed"
    asked = run.client().get(f"/api/commands/{held['command_id']}?wait_s=30").json()
    assert (asked["state"], asked["code"], asked["hint"]) == ("vetoed", "vetoed", "not now")
    late = decide(run, held["command_id"], "approve")
    assert (late.status_code, late.json()["code"]) == (409, "already_decided")
    assert "operator" in late.json()["hint"]
    assert decide(run, held["command_id"], "veto").status_code == 200  # the same answer again
    assert delivered_ids(run) == []


def test_without_a_veto_in_time_it_goes_through_by_itself(run: ServedRun) -> None:
    held = send(run, LOAD)
    assert run.client().get("/api/approvals").json()["approvals"][0]["releases_s"] == 1060.0
    run.clock.now_s += 59.9
    assert run.service.inbox.release_due() == 0
    run.clock.now_s += 0.1
    assert run.service.inbox.release_due() == 1
    assert delivered_ids(run) == [held["command_id"]]
    got = run.client(Role.TRAINER).get("/api/commands").json()["commands"][0]
    assert got["approved_by"]["reason"] == "nobody vetoed it within 60 s"
    assert decide(run, held["command_id"], "veto").status_code == 409


def test_a_window_ends_while_the_server_is_served(run: ServedRun) -> None:
    held = send(run, LOAD)
    run.clock.now_s += 61
    with run.client(Role.TRAINER) as trainer:  # the service's tasks run
        got = trainer.get("/api/commands?after=0&wait_s=30").json()
    assert [one["envelope"]["command_id"] for one in got["commands"]] == [held["command_id"]]


def test_what_waits_outlives_a_restart(run: ServedRun) -> None:
    first, second, third = (send(run, RESET) for _ in range(3))
    decide(run, third["command_id"], "veto")
    run.service.inbox.close()
    app = run.restarted()
    assert decide(run, second["command_id"], "approve", app=app).json()["seq"] == 1
    assert decide(run, first["command_id"], "approve", app=app).json()["seq"] == 2
    trainer = run.client(Role.TRAINER, app)
    ids = [one["envelope"]["command_id"] for one in trainer.get("/api/commands").json()["commands"]]
    assert ids == [second["command_id"], first["command_id"]]
    asked = run.client(app=app).get(f"/api/commands/{third['command_id']}").json()
    assert asked["state"] == "vetoed"


def test_the_same_id_is_one_command_before_and_after_the_decision(run: ServedRun) -> None:
    body = envelope(RESET)
    first = post(run.client(Role.AGENT), body)
    assert (first.status_code, first.json()) == (202, post(run.client(Role.AGENT), body).json())
    assert post(run.client(Role.AGENT), {**body, "reason": "x"}).json()["code"] == "id_reused"
    for _ in range(2):
        assert decide(run, body["command_id"], "approve").json()["seq"] == 1
    assert post(run.client(Role.AGENT), body).json() == {
        **first.json(),
        "seq": 1,
        "state": "accepted",
    }
    assert len(delivered_ids(run)) == 1


def test_nobody_approves_but_a_person(run: ServedRun) -> None:
    held = send(run, RESET)
    for role in (Role.AGENT, Role.VIEWER, Role.COLLECTOR, Role.TRAINER):
        for verb in ("approve", "veto"):
            assert decide(run, held["command_id"], verb, role=role).status_code == 403
    assert delivered_ids(run) == []
    assert send(run, RESET, Role.OPERATOR)["state"] == "accepted"
    assert decide(run, str(uuid.uuid4()), "approve").status_code == 404


def test_a_held_command_is_taken_back_by_the_one_that_supersedes_it(run: ServedRun) -> None:
    held = send(run, RESET)
    other = send(run, LOAD, supersedes=held["command_id"])
    asked = run.client().get(f"/api/commands/{held['command_id']}").json()
    assert (asked["state"], asked["code"]) == ("superseded", "superseded")
    assert decide(run, held["command_id"], "approve").status_code == 409
    waiting = run.client().get("/api/approvals").json()["approvals"]
    assert [one["command_id"] for one in waiting] == [other["command_id"]]


def test_an_agent_does_not_take_back_what_a_person_sent(run: ServedRun) -> None:
    theirs = send(run, RESET, Role.OPERATOR)
    got = send(run, {"command": "note", "text": "mine"}, supersedes=theirs["command_id"])
    assert got["code"] == "forbidden"


def test_a_release_is_whole_or_did_not_happen(tmp_path: Path) -> None:
    clock = Clock()
    inbox = Inbox.open(tmp_path / "inbox.db", clock)
    body = json.dumps(envelope(RESET)).encode()
    held = inbox.receive(body, RULE, lambda one: Hold(None))
    assert isinstance(held, Receipt)

    def fail(*error: object) -> int:
        raise OSError("the disk is full")

    keep, inbox._accept = inbox._accept, fail  # type: ignore[method-assign]
    with pytest.raises(OSError, match="full"):
        inbox.approve(held.command_id, ANNA, "yes")
    inbox._accept = keep  # type: ignore[method-assign]
    assert inbox.find(held.command_id) == held
    assert inbox.after(0) == []
    assert inbox.approve(held.command_id, ANNA, "yes") is not None
    assert [one.seq for one in inbox.after(0)] == [1]


# ---- agents halted


def test_halted_agents_are_refused_over_a_restart_and_people_are_not(run: ServedRun) -> None:
    waits = send(run, LOAD)
    operator = run.client()
    halted = operator.post("/api/agents/halt", json={"reason": "it loops"}).json()
    assert halted == {"halted": True, "by": "operator", "at_s": 1000.0, "reason": "it loops"}
    assert operator.get("/api/status").json()["agents_halted"] is True
    run.clock.now_s += 1000
    assert run.service.inbox.release_due() == 0  # nothing of theirs goes through by itself
    run.service.inbox.close()
    app = run.restarted()
    note = {"command": "note", "text": "hello"}
    refused = post(run.client(Role.AGENT, app), envelope(note)).json()
    assert refused["code"] == "agents_halted"
    assert refused["hint"]
    assert post(run.client(app=app), envelope(note)).status_code == 202
    assert run.client(Role.AGENT, app).post("/api/agents/allow").status_code == 403
    assert run.client(app=app).post("/api/agents/allow").json()["halted"] is False
    assert post(run.client(Role.AGENT, app), envelope(note)).status_code == 202
    assert run.service.inbox.release_due() == 1
    assert run.service.inbox.after(1)[-1].envelope.command_id == uuid.UUID(waits["command_id"])


# ---- client and commands


def test_people_decide_from_the_command_line(
    run: ServedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.folder.write_server(ServerAddress("http://127.0.0.1", 1))

    def connect(url: str, token: str) -> RunClient:
        role = next(role for role, secret in run.tokens.secret_of.items() if secret == token)
        return RunClient(run.client(role))

    monkeypatch.setattr(RunClient, "connect", connect)

    def ctl_json(*words: str) -> dict[str, Any]:
        got = CliRunner().invoke(ctl, [words[0], str(run.folder.path), *words[1:], "--json"])
        assert got.exit_code == 0, got.output
        found: dict[str, Any] = json.loads(got.stdout.splitlines()[-1])
        return found

    first, second = send(run, RESET), send(run, RESET)
    assert len(ctl_json("approvals")["approvals"]) == 2
    assert ctl_json("approve", first["command_id"], "--reason", "yes")["state"] == "accepted"
    assert ctl_json("veto", second["command_id"])["state"] == "vetoed"
    assert ctl_json("agents", "halt", "--reason", "enough")["reason"] == "enough"
    assert ctl_json("agents", "status")["halted"] is True
    assert ctl_json("agents", "allow")["halted"] is False
    late = CliRunner().invoke(ctl, ["approve", str(run.folder.path), second["command_id"]])
    assert getattr(late.exception, "code", None) == "already_decided"
