"""Any process of the loop may be killed at any moment."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from data_collection.storage.store import TraceStore
from data_collection.trace import ClipRow
from interactive.record.ledger import EntryKind, read_ledger
from interactive.record.run_folder import RunFolder
from interactive.server.inbox import Inbox
from tests.e2e.harness import MICRO, neuralos, running, send, status, steps, until


def acknowledged(run: Path) -> dict[tuple[str, int], ClipRow]:
    """Return every clip that was acknowledged, by trace and seq; no server may run."""
    store = TraceStore.open(RunFolder(run).traces)
    try:
        rows = store.index.rows_after(0, store.index.last_commit)
        assert [row.commit for row in rows] == list(range(1, len(rows) + 1))
        assert store.verify() == []
    finally:
        store.close()
    return {(row.trace_id, row.seq): row for row in rows}


def accepted(run: Path) -> list[str]:
    """Return the ids of the accepted commands, in order."""
    inbox = Inbox.open(RunFolder(run).inbox, lambda: 0.0)
    try:
        return [str(request.envelope.command_id) for request in inbox.after(0)]
    finally:
        inbox.close()


def whole_lines(path: Path) -> bytes:
    """Return a journal without a torn last line."""
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def outcomes(run: Path) -> list[str]:
    """Return the ids of the commands in the ledger."""
    entries = read_ledger(RunFolder(run).ledger)
    return [e.body["command_id"] for e in entries if e.kind is EntryKind.INTERVENTION]


@pytest.mark.parametrize("victim", ["trainer", "server", "window"])
def test_nothing_is_lost_or_doubled_when_a_process_is_killed(victim: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    live = ["live", "--headless", "--seed", "3", "--run", run, "--json", *MICRO]
    with running(*live, "--for", "10m") as loop:
        until(lambda: (run / "run.json").exists() and len(steps(run)) >= 12, "a dozen steps")
        until(lambda: live_clips(run) >= 3, "three live clips")
        send(run, "update_optimizer", "lr=0.0005", "--reason", "before the crash")
        done = neuralos("ctl", "send", run, "note", 'text="on its way"', "--wait", "0", "--json")
        assert done.status == 0, done.stderr
        pid = status(run)["pids"][victim]
        os.kill(pid, signal.SIGKILL)
        ended = loop.wait()
    assert ended.status == 1
    assert f"the {victim} ended" in ended.json["error"]["message"]
    assert f"neuralos live --run {run}" in ended.json["error"]["hint"]

    folder = RunFolder(run)
    clips_before, commands_before = acknowledged(run), accepted(run)
    journals = (folder.metrics, folder.ledger, folder.data)
    lines_before = {path: whole_lines(path) for path in journals}

    with running(*live, "--for", "10m") as loop:
        until(lambda: len(steps(run)) >= lines_before[folder.metrics].count(b"\n") + 6, "new steps")
        again = loop.end()
    assert again.status == 130, again.stderr

    clips_after = acknowledged(run)
    assert {place: clips_after[place] for place in clips_before} == clips_before
    for path, before in lines_before.items():
        assert path.read_bytes().startswith(before), f"{path.name} was rewritten"
    assert accepted(run)[: len(commands_before)] == commands_before
    in_ledger = outcomes(run)
    assert sorted(in_ledger) == sorted(set(in_ledger)), "a command took effect twice"
    assert set(commands_before) <= set(in_ledger), "an accepted command is lost"
    assert len(steps(run)) > lines_before[folder.metrics].count(b"\n"), "training went on"
    if victim == "trainer":
        replayed = neuralos("ctl", "replay", run, "--json")
        assert replayed.status == 0, replayed.stdout
        assert replayed.json["identical"] == replayed.json["steps"] == len(steps(run))


def live_clips(run: Path) -> int:
    clips: dict[str, Any] = status(run)["clips"]
    return int(clips["live"])
