"""A window on another machine: it has a folder of its own, the server's address and a token.

Its person takes clips back, the server dies and comes again, and in the end nothing is lost,
nothing doubled, what was taken back is gone, and the run replays.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from data_collection.storage.codec import ClipCorrupt
from data_collection.storage.store import TraceStore, read_clip
from data_collection.trace import ClipRow
from experiments.summary import read_rows
from interactive.policy import Role
from interactive.record.ledger import EntryKind, read_ledger
from interactive.record.run_folder import RunFolder
from interactive.server.tokens import read_token
from neuralos.data.mixture import LIVE_SOURCE
from tests.e2e.harness import MICRO, Running, neuralos, running, status, steps, until

OFTEN = ["--set", "steering.checkpoint_every=8", "--set", "steering.keep_checkpoints=99"]


def used_commits(run: Path) -> set[int]:
    return {commit for step in steps(run) for commit in step.commits}


def is_drawn(row: ClipRow) -> bool:
    """Say whether a lane takes it in the end: a single frame has none before it to learn from."""
    return row.weight > 0 and row.frames > 1


def first_clips(run: Path) -> list[ClipRow]:
    """Return the first two live clips, once a step has learned from each."""
    rows = [row for row in read_rows(RunFolder(run).data) if row.source == LIVE_SOURCE][:2]
    used = used_commits(run)
    return rows if len(rows) == 2 and all(row.commit in used for row in rows) else []


def take_back(url: str, token: str, clips: list[ClipRow]) -> None:
    """Send the request that a window sends."""
    answer = httpx.delete(
        f"{url}/traces/{clips[0].trace_id}/clips",
        params={"first": clips[0].seq, "last": clips[-1].seq},
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text


def is_purged(run: Path, row: ClipRow) -> bool:
    try:
        read_clip(RunFolder(run).traces, row)
    except ClipCorrupt as error:
        return error.code == "purged"
    return False


def wait_until_all_is_used(run: Path, gone: list[ClipRow]) -> None:
    """Wait until the last clip is adopted, all are learned from, and the bytes are gone."""
    clips = status(run)["clips"]
    last = clips["base"] + clips["live"] + len(gone)
    until(lambda: status(run)["mark"] >= last, "the mark of the last clip")
    until(lambda: all(is_purged(run, row) for row in gone), "the purge")
    rows = [row for row in read_rows(RunFolder(run).data) if row.source == LIVE_SOURCE]
    wanted = {row.commit for row in rows if is_drawn(row)} - {row.commit for row in gone}
    until(lambda: wanted <= used_commits(run), "steps on every clip")


def test_a_window_elsewhere_outlives_the_server_and_may_take_back_what_it_sent(
    tmp_path: Path,
) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    elsewhere.mkdir()
    reachable = ["--host", "0.0.0.0", "--allow-remote"]
    train = ["train", "--run", run, *reachable, "--json", *MICRO, *OFTEN]
    with running(*train) as training:
        until(lambda: (run / "run.json").exists() and len(steps(run)) >= 3, "the training")
        url = status(run)["url"]
        token = read_token(RunFolder(run).tokens, Role.COLLECTOR)
        (elsewhere / "token").write_text(token)
        record = ["record", "--server", url, "--token-file", elsewhere / "token"]
        record += ["--spool", elsewhere / "spool", "--user", "task", "--json"]
        with running(*record) as window:
            gone = until(lambda: first_clips(run), "two clips that were learned from")
            take_back(url, token, gone)
            kill_server(run, training)
            until(lambda: list((elsewhere / "spool").rglob("*.clip")), "clips that wait")
            with running(*train) as again:
                until(lambda: status(run)["url"] == url, "the server where it was")
                until(lambda: withdrawals(run), "the withdrawal in the ledger")
                seen = status(run)["clips"]["live"]
                until(lambda: status(run)["clips"]["live"] >= seen + 2, "more clips")
                recorded = window.end()
                wait_until_all_is_used(run, gone)
                assert again.end().status == 130
    assert recorded.status == 130, recorded.stderr
    check_store(run, recorded.json, gone)
    check_withdrawal(run, {row.commit for row in gone})
    check_replay(run, {row.commit for row in gone})


def kill_server(run: Path, training: Running) -> None:
    os.kill(status(run)["pids"]["server"], signal.SIGKILL)
    assert training.wait().status == 1


def withdrawals(run: Path) -> list[Mapping[str, Any]]:
    """Return the withdrawals of the ledger, flat."""
    entries = read_ledger(RunFolder(run).ledger)
    return [entry.to_json() for entry in entries if entry.kind is EntryKind.WITHDRAWAL]


def check_store(run: Path, counted: Mapping[str, Any], gone: list[ClipRow]) -> None:
    """Every clip of the window is there once, in its place, and was learned from."""
    assert (counted["waiting"], counted["quarantined"]) == (0, 0)
    store = TraceStore.open(RunFolder(run).traces)
    try:
        rows = [store.index.trace_rows(trace) for trace in counted["traces"]]
        assert store.verify() == []
    finally:
        store.close()
    assert sum(map(len, rows)) == counted["clips"]
    assert sum(row.frames for clips in rows for row in clips) == counted["frames"]
    for clips in rows:
        assert [row.seq for row in clips] == list(range(len(clips)))
        ends = [row.first_frame + row.frames for row in clips]
        assert [row.first_frame for row in clips[1:]] == ends[:-1]
    commits = sorted(row.commit for clips in rows for row in clips if is_drawn(row))
    assert set(commits) <= used_commits(run)
    assert {row.commit for row in gone} < set(commits)


def check_withdrawal(run: Path, gone: set[int]) -> None:
    """It is a fact at a step, and no later step learned from the clips."""
    (fact,) = withdrawals(run)
    assert set(fact["withdrawn"]) == gone
    assert "upto" in fact, "the trainer heard of it before a byte was gone"
    later = [step for step in steps(run) if step.step >= fact["step"]]
    assert later
    assert not gone & {commit for step in later for commit in step.commits}
    shown = neuralos("ctl", "explain-clip", run, min(gone), "--json").json
    assert (shown["withdrawn"], shown["withdrawn_step"]) == (True, fact["step"])
    assert abs(shown["clock_skew_s"]) < 60


def check_replay(run: Path, gone: set[int]) -> None:
    """It begins where the clips are not needed any more, and says so."""
    replayed = neuralos("ctl", "replay", run, "--json")
    assert replayed.status == 0, replayed.stdout
    assert replayed.json["base"]
    assert replayed.json["identical"] == replayed.json["steps"] > 0
    assert set(replayed.json["withdrawn"]) == gone
