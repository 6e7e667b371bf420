"""A person takes clips back while the training learns from them."""

from __future__ import annotations

from pathlib import Path

import httpx

from data_collection.storage.codec import ClipCorrupt
from data_collection.storage.store import read_clip
from data_collection.trace import ClipRow
from experiments.summary import read_rows
from interactive.ledger import EntryKind, read_ledger
from interactive.policy import Role
from interactive.run_folder import RunFolder
from interactive.tokens import read_token
from neuralos.data.mixture import LIVE_SOURCE
from tests.e2e.harness import MICRO, neuralos, running, status, steps, until


def used_live_clips(run: Path) -> list[ClipRow]:
    """Return the first live clips, once a step has learned from two of them."""
    used = {commit for step in steps(run) for commit in step.commits}
    rows = [row for row in read_rows(RunFolder(run).data) if row.source == LIVE_SOURCE]
    found = [row for row in rows if row.commit in used]
    return found[:2] if len(found) >= 2 else []


def take_back(run: Path, clips: list[ClipRow]) -> None:
    """Send the request that the window sends."""
    token = read_token(RunFolder(run).tokens, Role.COLLECTOR)
    answer = httpx.delete(
        f"{status(run)['url']}/traces/{clips[0].trace_id}/clips",
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


def test_what_is_taken_back_leaves_the_training_and_the_disk_and_the_rest_replays(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    often = ["--set", "steering.checkpoint_every=8", "--set", "steering.keep_checkpoints=99"]
    live = ["live", "--headless", "--seed", "4", "--run", run, "--json", *MICRO, *often]
    with running(*live, "--for", "10m") as loop:
        gone = until(lambda: (run / "run.json").exists() and used_live_clips(run), "live clips")
        take_back(run, gone)
        until(lambda: all(is_purged(run, row) for row in gone), "the purge")
        more = len(steps(run)) + 5
        until(lambda: len(steps(run)) >= more, "more steps")
        done = loop.end()
    assert done.status == 130, done.stderr
    assert done.json["clips"]["withdrawn"] == len(gone)
    assert abs(done.json["clock_skew_s"]) < 60

    commits = {row.commit for row in gone}
    facts = [e for e in read_ledger(RunFolder(run).ledger) if e.kind is EntryKind.WITHDRAWAL]
    assert [set(fact.body["withdrawn"]) for fact in facts] == [commits]
    assert "upto" in facts[0].body, "the trainer heard of it before a byte was gone"
    later = [step for step in steps(run) if step.step >= facts[0].step]
    assert later
    assert not commits & {commit for step in later for commit in step.commits}

    shown = neuralos("ctl", "explain-clip", run, gone[0].commit, "--json")
    assert shown.json["withdrawn_step"] == facts[0].step

    replayed = neuralos("ctl", "replay", run, "--json")
    assert replayed.status == 0, replayed.stdout
    assert replayed.json["base"]
    assert replayed.json["identical"] == replayed.json["steps"] > 0
    assert set(replayed.json["withdrawn"]) == commits
