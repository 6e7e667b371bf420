"""Data that is withdrawn leaves the run at a recorded step; what is gone is replayed around."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interactive.integrations.worker import run_worker
from interactive.record.data_log import DataLog
from interactive.record.ledger import Entry, EntryKind, LedgerWriter, read_ledger
from interactive.record.metrics import MetricsRow, read_metrics
from interactive.record.run_folder import RunFolder, RunInfo
from interactive.replaying.replay import ReplayNeedsWithdrawn, replay
from interactive.replaying.report import ReplayReport
from interactive.steering.boundary import Cadence
from interactive.trainer import DataLost, DataRow
from tests.fakes import (
    FakeTrainer,
    World,
    build_fake_trainer,
    data_row,
    delivered,
    make_run,
    run_session,
    withdrawal_row,
)

Rows = dict[tuple[str, int], list[DataRow]]


def withdrawals(folder: RunFolder) -> list[Entry]:
    return [e for e in read_ledger(folder.ledger) if e.kind is EntryKind.WITHDRAWAL]


def facts(folder: RunFolder) -> list[tuple[str, int, Any]]:
    """The withdrawals as (branch, step, commits)."""
    return [(e.branch, e.step, e.body["withdrawn"]) for e in withdrawals(folder)]


def used_after(folder: RunFolder, branch: str, step: int) -> set[int]:
    rows = [r for r in read_metrics(folder.metrics) if r.branch == branch and r.step >= step]
    return {commit for row in rows for commit in row.commits}


def steps(folder: RunFolder) -> list[MetricsRow]:
    return list(read_metrics(folder.metrics))


def train(folder: RunFolder, rows: Rows, *commands: Any, **cadence: Any) -> FakeTrainer:
    """Train 12 steps; ``commands`` are (branch, step, command)."""
    world = World(rows=rows)
    for seq, (branch, step, command) in enumerate(commands, start=1):
        world.commands.setdefault((branch, step), []).append(delivered(seq, command))
    trainer = build_fake_trainer(folder.config, folder.path)
    run_session(folder, world, cadence=Cadence(end_step=12, **cadence), trainer=trainer)
    return trainer


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run", min_rows=2)


BASE = [data_row(1, "base"), data_row(2, "base"), data_row(3)]


def test_a_withdrawal_is_a_fact_at_a_step_and_no_later_step_uses_the_clip(
    folder: RunFolder,
) -> None:
    trainer = train(folder, {("main", 0): BASE, ("main", 6): [withdrawal_row(4, of=2)]})
    assert facts(folder) == [("main", 7, [2])]
    assert 2 in {commit for row in steps(folder)[:6] for commit in row.commits}
    assert 2 not in used_after(folder, "main", 7)
    assert trainer.step == 12
    report = replay(folder.path)
    assert report.is_identical
    assert report.withdrawn == (2,)


def test_a_clip_withdrawn_before_it_was_adopted_is_never_seen(folder: RunFolder) -> None:
    late = [data_row(4), data_row(5), withdrawal_row(6, of=4)]
    train(folder, {("main", 0): BASE, ("main", 3): late})
    assert facts(folder) == []
    assert 4 not in used_after(folder, "main", 1)
    assert replay(folder.path).withdrawn == ()


def test_a_frozen_intake_does_not_keep_a_withdrawal_out(folder: RunFolder) -> None:
    freeze = ("main", 2, {"command": "update_mixture", "live_intake": False})
    thaw = ("main", 9, {"command": "update_mixture", "live_intake": True})
    rows = {
        ("main", 0): BASE,
        ("main", 4): [data_row(4), withdrawal_row(5, of=2)],
        ("main", 6): [withdrawal_row(6, of=4)],
    }
    train(folder, rows, freeze, thaw)
    assert facts(folder) == [("main", 5, [2])]
    marks = [(e.step, e.body["mark"]) for e in read_ledger(folder.ledger) if e.kind.value == "mark"]
    assert marks == [(1, 3), (10, 6)]
    assert used_after(folder, "main", 5) <= {1, 3}
    assert replay(folder.path).is_identical


def test_a_branch_from_before_the_withdrawal_takes_no_step_with_the_clip(
    folder: RunFolder,
) -> None:
    load = ("main", 10, {"command": "load_checkpoint", "checkpoint": "main-000005"})
    rows = {("main", 0): BASE, ("main", 8): [withdrawal_row(4, of=1)]}
    train(folder, rows, load, checkpoint_every=5, keep_checkpoints=9)
    assert facts(folder) == [("main", 9, [1]), ("b1", 6, [1])]
    assert 1 not in used_after(folder, "b1", 6)
    assert replay(folder.path).is_identical


def test_a_restart_has_what_the_ledger_says(folder: RunFolder) -> None:
    rows = {("main", 0): BASE, ("main", 6): [withdrawal_row(4, of=1)]}
    world = World(rows=rows)
    run_session(folder, world, cadence=Cadence(end_step=8))
    run_session(folder, world, cadence=Cadence(end_step=12))
    assert facts(folder) == [("main", 7, [1])]
    assert replay(folder.path).is_identical


def test_a_withdrawal_that_the_disk_does_not_take_is_tried_at_every_boundary(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, refused = LedgerWriter.append, 3

    def full_disk(writer: LedgerWriter, kind: EntryKind, **entry: Any) -> Entry:
        nonlocal refused
        if kind is EntryKind.WITHDRAWAL and refused:
            refused -= 1
            raise OSError(28, "no space")
        return append(writer, kind, **entry)

    monkeypatch.setattr(LedgerWriter, "append", full_disk)
    train(folder, {("main", 0): BASE, ("main", 4): [withdrawal_row(4, of=2)]})
    assert facts(folder) == [("main", 8, [2])]
    assert replay(folder.path).is_identical


class Bitrot(FakeTrainer):
    """Cannot read clip 2 from the sixth step on."""

    def train_step(self) -> Any:
        self.unreadable = {2} if self.step >= 5 else set()
        return super().train_step()


def test_training_goes_on_without_a_clip_that_cannot_be_read(folder: RunFolder) -> None:
    world, warnings = World(rows={("main", 0): BASE}), list[str]()
    trainer = Bitrot(seed=3, min_rows=2)
    run_session(folder, world, cadence=Cadence(end_step=12), trainer=trainer, warnings=warnings)
    assert facts(folder) == [("main", 6, [2])]
    assert withdrawals(folder)[0].body["code"] == "unreadable"
    assert 2 not in used_after(folder, "main", 6)
    assert "clip 2 cannot be read" in " ".join(warnings)
    assert replay(folder.path).is_identical


def build_bitrot(config: Path, run_dir: Path) -> Bitrot:
    """The entry point of a run whose clip 2 is damaged."""
    return Bitrot(**json.loads(config.read_text()), folder=run_dir)


def test_the_trainer_process_outlives_a_damaged_clip(tmp_path: Path) -> None:
    info = RunInfo(entry_point=f"{__name__}:build_bitrot", seed=3, code_version="test")
    config = json.dumps({"seed": 3, "min_rows": 2})
    folder = RunFolder.create(tmp_path / "run", config=config, info=info)
    data = DataLog.open(folder.data, writable=True)
    data.append(BASE)
    data.close()
    run_worker(folder.path, cadence=Cadence(end_step=9), warn=lambda line: None)
    assert len(steps(folder)) == 9
    assert facts(folder) == [("main", 6, [2])]


def test_a_clip_that_stays_unreadable_though_withdrawn_ends_the_run(folder: RunFolder) -> None:
    class Stubborn(Bitrot):
        def withdraw(self, commits: Any) -> None:
            """Keeps it."""

    with pytest.raises(DataLost, match="clip 2"):
        run_session(
            folder,
            World(rows={("main", 0): BASE}),
            cadence=Cadence(end_step=12),
            trainer=Stubborn(seed=3, min_rows=2),
        )


def replay_without(folder: RunFolder, gone: set[int], out: Path | None = None) -> ReplayReport:
    """Replay where some clips cannot be read any more."""

    def build() -> FakeTrainer:
        trainer = build_fake_trainer(folder.config, folder.path)
        trainer.unreadable = gone
        return trainer

    return replay(folder.path, build_trainer=build, out_dir=out)


def test_a_replay_begins_at_the_first_checkpoint_after_which_no_purged_clip_is_needed(
    folder: RunFolder,
) -> None:
    rows = {("main", 0): BASE, ("main", 5): [withdrawal_row(4, of=1)]}
    train(folder, rows, checkpoint_every=3, keep_checkpoints=9)
    report = replay_without(folder, {1})
    assert (report.base, report.steps, report.identical) == ("main-000006", 6, 6)
    assert report.is_identical
    assert report.withdrawn == (1,)
    assert replay(folder.path).base is None


def test_a_replay_from_a_checkpoint_follows_later_branches(folder: RunFolder) -> None:
    load = ("main", 11, {"command": "load_checkpoint", "checkpoint": "main-000006"})
    rows = {("main", 0): BASE, ("main", 5): [withdrawal_row(4, of=1)]}
    train(folder, rows, load, checkpoint_every=3, keep_checkpoints=9)
    report = replay_without(folder, {1})
    assert report.base == "main-000006"
    assert report.identical == report.steps == len(steps(folder)) - 6


def test_without_a_checkpoint_to_begin_at_the_replay_says_so(folder: RunFolder) -> None:
    train(folder, {("main", 0): BASE, ("main", 5): [withdrawal_row(4, of=1)]})
    with pytest.raises(ReplayNeedsWithdrawn, match=r"gone \(1\)") as caught:
        replay_without(folder, {1})
    assert caught.value.commits == (1,)
    assert caught.value.hint


def test_the_data_log_names_what_was_withdrawn(tmp_path: Path) -> None:
    log = DataLog.open(tmp_path / "data.jsonl", writable=True)
    unseen = DataRow(3, {**data_row(3).body, "state": "tombstoned"})
    log.append([data_row(1), data_row(2), unseen, withdrawal_row(4, of=2), withdrawal_row(5, of=3)])
    for read in (log, DataLog.open(tmp_path / "data.jsonl")):
        assert read.withdrawn == {2}
        assert [row.withdraws for row in read.rows(0, 5)] == [None, None, None, 2, None]


PLACES = st.tuples(st.sampled_from(["main", "b1"]), st.integers(0, 11))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    places=st.lists(st.tuples(PLACES, st.integers(1, 12)), min_size=2, max_size=12),
    commands=st.lists(
        st.tuples(
            PLACES,
            st.sampled_from(
                [
                    {"command": "update_mixture", "live_intake": False},
                    {"command": "update_mixture", "live_intake": True},
                    {"command": "load_checkpoint", "checkpoint": "main-000003", "branch": "b1"},
                ]
            ),
        ),
        max_size=4,
    ),
    ends=st.lists(st.integers(1, 11), max_size=2),
)
def test_whatever_is_withdrawn_when_the_run_replays_and_heeds_it(
    tmp_path_factory: pytest.TempPathFactory,
    places: list[tuple[tuple[str, int], int]],
    commands: list[tuple[tuple[str, int], dict[str, Any]]],
    ends: list[int],
) -> None:
    """``places`` bring a clip, or withdraw one that came before (its number is even)."""
    world = World(rows={("main", 0): [data_row(commit) for commit in (1, 2, 3, 4)]})
    for commit, (place, number) in enumerate(sorted(places), start=5):
        is_clip = number % 2 or number >= commit
        row = data_row(commit) if is_clip else withdrawal_row(commit, of=number)
        world.rows.setdefault(place, []).append(row)
    for seq, (place, command) in enumerate(commands, start=1):
        world.commands.setdefault(place, []).append(delivered(seq, command))
    folder = make_run(tmp_path_factory.mktemp("any") / "run")
    for end in [*ends, 12]:
        run_session(folder, world, cadence=Cadence(checkpoint_every=3, end_step=end))
    where: dict[str, set[int]] = {}
    entries = read_ledger(folder.ledger)
    for row in steps(folder):
        gone = where.setdefault(row.branch, set())
        for entry in entries:
            if (entry.branch, entry.step) == (row.branch, row.step):
                gone |= set(entry.body.get("withdrawn", ()))
        assert not gone & set(row.commits)
    assert replay(folder.path).is_identical
