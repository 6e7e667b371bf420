"""Nothing accepted is lost, doubled or reordered, whatever dies when.

Hypothesis plays clients, network, server and trainer over the real parts of a run in one
process, and a reference checks the files after every act. A rank that dies ends its
trainer, so here it is the trainer's death; several real ranks are tested elsewhere.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from one_process import POINTS, OneProcess, one_process
from reference_run import Reference
from written_commands import ISSUERS, POLICY, WINDOW_S, messages

from interactive.policy import Role
from interactive.record.ledger import LedgerTail
from interactive.record.metrics import MetricsTail
from interactive.replaying.replay import replay
from interactive.steering.boundary import Cadence
from tests.fakes import make_run

CADENCE = Cadence(checkpoint_every=6, evaluate_every=7, keep_checkpoints=1000)
LAST_STEPS = 12


class ExactlyOnce(RuleBasedStateMachine):
    """Clients, a network that delays, a server and a trainer that die and come back."""

    seen: dict[str, int]

    def __init__(self) -> None:
        super().__init__()
        self.reference = Reference()
        self.path = Path(tempfile.mkdtemp(prefix="exactly-once-"))
        self.outbox: list[tuple[Role, str, bytes]] = []
        self._undo = ExitStack()
        self._undo.callback(shutil.rmtree, self.path, ignore_errors=True)
        self._ids = 0
        self._now_s = 1000.0
        self._crossed = 1

    @initialize()
    def start(self) -> None:
        folder = make_run(self.path / "run")
        self.parts: OneProcess = self._undo.enter_context(
            one_process(folder, CADENCE, POLICY, lambda: self._now_s)
        )
        self.clients = {role: self.parts.client(role) for role in ISSUERS}
        self._ledger = LedgerTail(folder.ledger)
        self._metrics = MetricsTail(folder.metrics)
        self.parts.start_trainer()

    # Clients and the network between them and the server.

    @rule(message=messages)
    def write(self, message: Any) -> None:
        """Make a command; it is on its way, and may be overtaken."""
        self.outbox.append(self._compose(*message))

    @precondition(lambda self: self.parts.serves and self.parts.trains)
    @rule(written=st.lists(messages, min_size=1, max_size=4), steps=st.integers(1, 3))
    def live_on(self, written: list[Any], steps: int) -> None:
        """Commands are sent, delivered and met, as on most days."""
        for message in written:
            self._post(*self._compose(*message))
        self.parts.fetch()
        self.train(steps)

    @precondition(lambda self: self.outbox)
    @rule(which=st.integers(0, 2**16))
    def arrive(self, which: int) -> None:
        """One of those on their way reaches the server; not always the first."""
        self._post(*self.outbox.pop(which % len(self.outbox)))

    @precondition(lambda self: self.outbox and self.parts.serves)
    @rule(which=st.integers(0, 2**16))
    def arrive_without_an_answer(self, which: int) -> None:
        """It arrives, the answer does not: its sender will ask again."""
        message = self.outbox.pop(which % len(self.outbox))
        self.parts.lose_reply()
        self._post(*message)
        self.outbox.append(message)

    @precondition(lambda self: self.reference.sent)
    @rule(which=st.integers(0, 2**16))
    def duplicate(self, which: int) -> None:
        """The same command once more."""
        command_id = list(self.reference.sent)[which % len(self.reference.sent)]
        body, issuer = self.reference.sent[command_id]
        role = next(role for role, name in ISSUERS.items() if name == issuer)
        self._post(role, command_id, body)

    @precondition(lambda self: self.reference.acknowledged and self.parts.serves)
    @rule(which=st.integers(0, 2**16), by_another=st.booleans())
    def reuse_an_id(self, which: int, by_another: bool) -> None:
        """A known id with another body, or from somebody else, is a conflict."""
        known = self.reference.acknowledged
        command_id = list(known)[which % len(known)]
        body, issuer = self.reference.sent[command_id]
        role = next(role for role, name in ISSUERS.items() if (name == issuer) != by_another)
        if not by_another:
            body = json.dumps({**json.loads(body), "reason": "another"}).encode()
        got = self._request(role, body)
        assert got is not None
        assert (got.status_code, got.json()["code"]) == (409, "id_reused")

    # The server.

    @precondition(lambda self: self.outbox and self.parts.serves)
    @rule(which=st.integers(0, 2**16), late=st.booleans(), statement=st.integers(0, 2))
    def crash_the_server_at_a_statement(self, which: int, late: bool, statement: int) -> None:
        """The server dies at a statement of the inbox: before it, or after it and unheard."""
        message = self.outbox.pop(which % len(self.outbox))
        disk = self.parts.disk
        disk.at, disk.late = disk.operations + statement, late
        is_heard = self._post(*message)
        disk.at = None
        if not is_heard:
            self.outbox.append(message)
        self.parts.kill_server()

    @precondition(lambda self: self.outbox and self.parts.serves)
    @rule(which=st.integers(0, 2**16), statement=st.integers(0, 2))
    def fail_the_disk_once(self, which: int, statement: int) -> None:
        """The server's disk takes a statement not, and the server lives on."""
        message = self.outbox.pop(which % len(self.outbox))
        disk = self.parts.disk
        disk.at, disk.late = disk.operations + statement, False
        is_heard = self._post(*message)
        disk.at = None
        if not is_heard:
            self.outbox.append(message)

    @precondition(lambda self: self.reference.held and self.parts.serves)
    @rule(
        which=st.integers(0, 2**16),
        decision=st.sampled_from(["approve", "veto"]),
        statement=st.integers(-1, 3),
        late=st.booleans(),
    )
    def decide(self, which: int, decision: str, statement: int, late: bool) -> None:
        """A person lets a held command through, or not; the server may die over it."""
        command_id = sorted(self.reference.held)[which % len(self.reference.held)]
        disk = self.parts.disk
        if statement >= 0:
            disk.at, disk.late = disk.operations + statement, late
        if decision == "approve":
            self.reference.approved.add(command_id)
        path = f"/api/commands/{command_id}/{decision}"
        with suppress(httpx.TransportError):
            got = self.clients[Role.OPERATOR].post(path, json={"reason": "so"})
            self.reference.decided(command_id, decision, got.status_code, got.json())
        disk.at = None
        if statement >= 0:
            self.parts.kill_server()

    @rule()
    def let_a_window_end(self) -> None:
        """Time passes: what nobody vetoed is let through."""
        self._now_s += WINDOW_S + 1
        self.reference.approved |= {
            command_id
            for command_id, (body, issuer) in self.reference.sent.items()
            if issuer == "agent" and POLICY.agent.approval.get(_name(body))
        }
        if self.parts.serves:
            self.parts.release_due()

    @precondition(lambda self: self.parts.serves)
    @rule()
    def crash_the_server(self) -> None:
        self.parts.kill_server()

    @precondition(lambda self: not self.parts.serves)
    @rule()
    def restart_the_server(self) -> None:
        self.parts.start_server()

    # The link and the trainer.

    @precondition(lambda self: self.parts.trains)
    @rule(is_lost=st.booleans())
    def deliver(self, is_lost: bool) -> None:
        """The link asks once for commands."""
        if is_lost:
            self.parts.lose_reply()
        self.parts.fetch()

    @precondition(lambda self: self.parts.trains)
    @rule(steps=st.integers(1, 4))
    def train(self, steps: int) -> None:
        for _ in range(steps):
            if self._train_once() != "stepped":
                return

    @rule(name=st.sampled_from(list(POINTS)), passage=st.integers(1, 3))
    def arm_a_failpoint(self, name: str, passage: int) -> None:
        """The trainer will die there, in whatever session comes to it."""
        self.parts.failpoints.arm(name, passage)

    @precondition(lambda self: self.parts.trains)
    @rule()
    def crash_the_trainer(self) -> None:
        self.parts.kill_trainer()

    @precondition(lambda self: not self.parts.trains)
    @rule()
    def restart_the_trainer(self) -> None:
        self.parts.start_trainer()

    # What must be so after every act.

    @invariant()
    def the_files_are_true(self) -> None:
        if not hasattr(self, "parts"):
            return
        if self.parts.serves:
            self.reference.inbox_holds(self.parts.requests())
        self.reference.ledger_grew(self._ledger.read_new())
        self.reference.metrics_grew(self._metrics.read_new())

    def teardown(self) -> None:
        """Let everybody live on, and look at the whole."""
        try:
            if hasattr(self, "parts"):
                self._end()
                ExactlyOnce.seen["examples"] += 1
                ExactlyOnce.seen["accepted"] += len(self.reference.inbox)
                ExactlyOnce.seen["sessions"] += self.parts.restarts
        finally:
            self._undo.close()

    def _end(self) -> None:
        parts, reference = self.parts, self.reference
        parts.failpoints.disarm()
        if not parts.serves:
            parts.start_server()
        for message in self.outbox:
            assert self._post(*message)
        self.let_a_window_end()
        left = LAST_STEPS
        while left:
            if not parts.trains:
                parts.start_trainer()
            left -= parts.is_live
            assert parts.fetch()
            if self._train_once() == "held" and left:
                self._post(*self._compose(Role.OPERATOR, {"command": "resume"}, {}))
            self.the_files_are_true()
        for command_id, request in reference.inbox.items():
            waits = command_id not in reference.done
            assert not waits or reference.waits(request, self._crossed), "lost"
        parts.refresh()
        self._the_server_says_the_same()
        if parts.trains:
            parts.kill_trainer()
        report = replay(parts.folder.path)
        assert report.steps == len(reference.rows)
        assert report.is_identical, report.first_divergence

    def _the_server_says_the_same(self) -> None:
        for command_id, entry in self.reference.done.items():
            got = self.clients[Role.AGENT].get(f"/api/commands/{command_id}").json()
            failed = any(e.body.get("of") == entry.seq for e in self.reference.entries)
            assert got["state"] == ("failed" if failed else entry.body["state"])
            assert got["step"] == entry.step

    def _compose(
        self, role: Role, command: dict[str, Any], moment: dict[str, int]
    ) -> tuple[Role, str, bytes]:
        """Return a command as it travels: its moments are meant from where the run is now."""
        self._ids += 1
        command_id = str(UUID(int=self._ids))
        if "checkpoint" in command:
            known = ["nowhere", *self.reference.now.checkpoints]
            command = {**command, "checkpoint": known[(command["checkpoint"] + 1) % len(known)]}
        body = {"command_id": command_id, "command": command, "reason": f"why {self._ids}"}
        for name in ("at_step", "expires_at_step"):
            if name in moment:
                body[name] = max(1, self._next_step() + moment[name])
        if "if_generation" in moment:
            now = self.reference.now.generation
            body["if_generation"] = max(0, now + moment["if_generation"])
        if "supersedes" in moment:
            body["supersedes"] = str(UUID(int=max(1, self._ids - moment["supersedes"])))
        for name in ("after_evaluation", "branch"):
            if name in moment and not (name == "after_evaluation" and "at_step" in body):
                body[name] = moment[name]
        return role, command_id, json.dumps(body).encode()

    def _train_once(self) -> str:
        fetched = self.parts.fetched
        became = self.parts.advance()
        self.the_files_are_true()
        if became in ("stepped", "held") and self.parts.is_live:
            assert self.parts.trainer is not None
            made = self.parts.trainer.step
            self._crossed = made if became == "stepped" else made + 1
            self.reference.all_due_are_done(fetched, self._crossed)
        return became

    def _post(self, role: Role, command_id: str, body: bytes) -> bool:
        """Send a command; tell whether its sender got an answer."""
        if self.parts.serves:
            self.reference.sent[command_id] = (body, ISSUERS[role])
        got = self._request(role, body)
        if got is not None:
            self.reference.answered(command_id, got.json())
        return got is not None

    def _request(self, role: Role, body: bytes) -> httpx.Response | None:
        headers = {"Content-Type": "application/json"}
        try:
            return self.clients[role].post("/api/commands", content=body, headers=headers)
        except httpx.TransportError:
            return None

    def _next_step(self) -> int:
        trainer = self.parts.trainer
        if trainer is not None:
            return trainer.step + 1
        rows = self.reference.rows
        return rows[-1].step + 1 if rows else 1


def _name(body: bytes) -> str:
    return str(json.loads(body)["command"]["command"])


QUICK = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    report_multiple_bugs=False,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize(
    ("how", "least"),
    [
        pytest.param(QUICK, 200, id="quick"),
        pytest.param(
            settings(QUICK, max_examples=2000),
            2000,
            id="nightly",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_nothing_accepted_is_lost_doubled_or_reordered(how: settings, least: int) -> None:
    ExactlyOnce.seen = dict.fromkeys(("examples", "accepted", "sessions"), 0)
    run_state_machine_as_test(ExactlyOnce, settings=how)
    print(ExactlyOnce.seen)
    assert ExactlyOnce.seen["examples"] >= least
    assert ExactlyOnce.seen["accepted"] > 2 * least
    assert ExactlyOnce.seen["sessions"] > 2 * least
