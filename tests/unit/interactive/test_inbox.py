import json
import sqlite3
import uuid
from pathlib import Path

import pytest

from interactive.commands import Envelope
from interactive.outcome import Issuer, IssuerKind, Reason, Rejected
from interactive.server.inbox import Inbox, Receipt

ANNA = Issuer("anna", IssuerKind.PERSON)
RULE = Issuer("rule", IssuerKind.SCRIPT)


def accept(envelope: Envelope) -> Rejected | None:
    return None


def body(command_id: str, lr: float = 1e-4) -> bytes:
    command = {"command": "update_optimizer", "lr": lr}
    return json.dumps({"command_id": command_id, "command": command}).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


@pytest.fixture
def inbox(path: Path) -> Inbox:
    return Inbox.open(path, lambda: 5.0)


def test_accepted_commands_keep_one_order_over_a_restart(inbox: Inbox, path: Path) -> None:
    first = inbox.receive(body(str(uuid.uuid4()), 1e-4), ANNA, accept)
    second = inbox.receive(body(str(uuid.uuid4()), 2e-4), RULE, accept)
    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    assert (first.seq, second.seq) == (1, 2)
    inbox.close()

    again = Inbox.open(path, lambda: 6.0)
    assert again.head == 2
    requests = again.after(1)
    assert [(r.seq, r.issuer) for r in requests] == [(2, RULE)]
    assert requests[0].envelope.command.lr == 2e-4  # type: ignore[union-attr]
    third = again.receive(body(str(uuid.uuid4())), ANNA, accept)
    assert isinstance(third, Receipt)
    assert third.seq == 3


def test_it_is_on_disk_before_it_is_answered(inbox: Inbox, path: Path) -> None:
    inbox.receive(body(str(uuid.uuid4())), ANNA, accept)
    other = sqlite3.connect(path)
    assert other.execute("SELECT COUNT(*) FROM accepted").fetchone() == (1,)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_same_id_and_body_get_the_first_answer(inbox: Inbox) -> None:
    command_id = str(uuid.uuid4())
    first = inbox.receive(body(command_id), ANNA, accept)
    spaced = body(command_id).replace(b", ", b",   ")
    assert inbox.receive(spaced, ANNA, accept) == first
    assert inbox.head == 1


@pytest.mark.parametrize("change", ["lr", "issuer"])
def test_the_same_id_for_something_else_is_a_conflict(inbox: Inbox, change: str) -> None:
    command_id = str(uuid.uuid4())
    inbox.receive(body(command_id), ANNA, accept)
    if change == "lr":
        got = inbox.receive(body(command_id, 2e-4), ANNA, accept)
    else:
        got = inbox.receive(body(command_id), RULE, accept)
    assert isinstance(got, Rejected)
    assert got.code is Reason.ID_REUSED
    assert inbox.head == 1


def test_a_refusal_is_remembered_and_has_no_place_in_the_order(inbox: Inbox) -> None:
    command_id = str(uuid.uuid4())
    no = Rejected(Reason.OUT_OF_BOUNDS, "too high")
    assert inbox.receive(body(command_id), ANNA, lambda envelope: no) == no
    # The first answer stands, though it would be accepted now.
    assert inbox.receive(body(command_id), ANNA, accept) == no
    assert inbox.find(command_id) == no
    assert (inbox.head, inbox.after(0)) == (0, [])


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 30000,
        b'{"command_id": 5, "command": {"command": "pause"}}',
        b'{"command_id": "no-uuid", "command": {"command": "pause"}}',
        b'{"command": {"command": "pause"}}',
    ],
)
def test_what_is_no_command_is_refused_and_kept(inbox: Inbox, path: Path, broken: bytes) -> None:
    got = inbox.receive(broken, ANNA, accept)
    assert isinstance(got, Rejected)
    assert got.code is Reason.MALFORMED
    assert got.hint
    kept = (
        sqlite3.connect(path).execute("SELECT code, issuer, length(body) FROM refused").fetchall()
    )
    assert kept == [("malformed", "anna", min(len(broken.decode("utf-8", "replace")), 4096))]
    assert inbox.head == 0


def test_a_malformed_body_keeps_its_id(inbox: Inbox) -> None:
    command_id = str(uuid.uuid4())
    first = inbox.receive(body(command_id, -1.0), ANNA, accept)
    assert isinstance(first, Rejected)
    assert first.hint.startswith("lr: ")
    assert inbox.receive(body(command_id, -1.0), ANNA, accept) == first
    fixed = inbox.receive(body(command_id, 1e-4), ANNA, accept)
    assert isinstance(fixed, Rejected)
    assert fixed.code is Reason.ID_REUSED
