from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interactive.record.ledger import Entry, EntryKind, export_ledger, read_ledger
from interactive.record.run_folder import RunFolder
from interactive.replaying.replay import replay
from interactive.steering.boundary import Cadence
from tests.fakes import (
    FakeTrainer,
    World,
    build_fake_trainer,
    data_row,
    delivered,
    make_run,
    run_session,
)

CADENCE = Cadence(checkpoint_every=5, evaluate_every=6, keep_checkpoints=2, end_step=16)
STEPS = 9 + 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with live data, a pause, five interventions, a branch and two sessions."""
    folder = make_run(tmp_path_factory.mktemp("replay") / "run", min_rows=2)
    load = {"command": "load_checkpoint", "checkpoint": "main-000004"}
    world = World(
        commands={
            ("main", 3): [delivered(1, {"command": "pause"})],
            ("main", 4): [delivered(4, {"command": "save_checkpoint"})],
            ("main", 6): [
                delivered(5, {"command": "update_mixture", "weights": {"base": 0.0}}),
                delivered(6, {"command": "update_optimizer", "lr": 1e9}),
            ],
            ("main", 9): [delivered(7, load)],
            ("b1", 7): [delivered(8, {"command": "stop"})],
        },
        rows={
            ("main", 0): [data_row(1, "base"), data_row(2, "base")],
            ("main", 5): [data_row(3, "live")],
            ("b1", 10): [data_row(4, "live")],
        },
        while_held=[
            delivered(2, {"command": "update_optimizer", "lr": 0.03}),
            delivered(3, {"command": "resume"}),
        ],
    )
    for _ in range(2):
        run_session(folder, world, cadence=CADENCE)
    return folder


def is_applied(entry: Entry, command: str) -> bool:
    return entry.kind is EntryKind.INTERVENTION and entry.body["command"]["command"] == command


def test_a_replay_makes_every_step_again(folder: RunFolder, tmp_path: Path) -> None:
    made: list[int] = []
    report = replay(folder.path, out_dir=tmp_path / "out", progress=made.append)
    assert report.first_divergence is None
    assert (report.steps, report.identical) == (STEPS, STEPS)
    assert report.is_identical
    assert report.promise == "same_fingerprint"
    assert (report.withdrawn, report.live_clips) == ((), 2)
    assert made == list(range(1, STEPS + 1))
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report.to_json()


def test_a_replay_changes_nothing_of_the_run(folder: RunFolder) -> None:
    def contents() -> dict[str, bytes]:
        files = (p for p in folder.path.rglob("*") if p.is_file() and "replays" not in p.parts)
        return {str(p): p.read_bytes() for p in files}

    before = contents()
    replay(folder.path)
    assert contents() == before
    assert (folder.replays / "replay-001" / "report.json").exists()


def test_a_replay_needs_no_checkpoint_of_the_run(folder: RunFolder, tmp_path: Path) -> None:
    copy = RunFolder(tmp_path / "run")
    shutil.copytree(folder.path, copy.path)
    shutil.rmtree(copy.checkpoints)
    assert replay(copy.path).is_identical


def test_every_entry_moved_by_a_step_is_found_at_that_step(
    folder: RunFolder, tmp_path: Path
) -> None:
    """Later: the step that ran under it without it. Earlier: the step that now has it."""
    entries = read_ledger(folder.ledger)
    last = max(e.step for e in entries if e.branch == "b1")
    tried = 0
    for entry in entries:
        for shift in (-1, 1):
            step = entry.step + shift
            first = min(entry.step, step)
            base = 0 if entry.branch == "main" else 4
            if step <= base or (entry.branch == "b1" and entry.step == last):
                continue
            moved = [replace(e, step=step) if e is entry else e for e in entries]
            export_ledger(moved, tmp_path / "moved.jsonl")
            out = tmp_path / f"{entry.seq}{shift}"
            report = replay(folder.path, ledger=tmp_path / "moved.jsonl", out_dir=out)
            assert report.first_divergence is not None, entry
            where = (report.first_divergence.branch, report.first_divergence.step)
            assert where == (entry.branch, first), (entry, report.first_divergence)
            assert not report.is_identical
            tried += 1
    assert tried > 20


def test_a_moved_lr_is_named_by_its_number(folder: RunFolder, tmp_path: Path) -> None:
    entries = read_ledger(folder.ledger)
    moved = [
        replace(e, step=e.step + 1) if is_applied(e, "update_optimizer") and e.step == 4 else e
        for e in entries
    ]
    export_ledger(moved, tmp_path / "moved.jsonl")
    report = replay(folder.path, ledger=tmp_path / "moved.jsonl", out_dir=tmp_path / "out")
    assert report.to_json()["first_divergence"] == {
        "branch": "main",
        "step": 4,
        "field": "lr",
        "recorded": 0.03,
        "replayed": 0.05,
    }
    assert report.identical == 3


def test_a_moved_entry_that_changed_no_number_is_not_blamed_on_its_neighbours(
    folder: RunFolder, tmp_path: Path
) -> None:
    """A periodic checkpoint stands before a mark at the same step."""
    entries = read_ledger(folder.ledger)
    saved = next(e for e in entries if e.body.get("checkpoint") == "main-000005")
    assert entries[saved.seq + 1].kind is EntryKind.MARK
    assert entries[saved.seq + 1].step == saved.step == 6
    moved = [replace(e, step=7) if e is saved else e for e in entries]
    export_ledger(moved, tmp_path / "moved.jsonl")
    report = replay(folder.path, ledger=tmp_path / "moved.jsonl", out_dir=tmp_path / "out")
    assert report.first_divergence is not None
    assert (report.first_divergence.step, report.first_divergence.field) == (6, "entries")


def test_a_changed_value_is_found_where_it_is_stated(folder: RunFolder, tmp_path: Path) -> None:
    text = [json.dumps(e.to_json()) for e in read_ledger(folder.ledger)]
    changed = [
        line.replace('"effective": {"lr": 0.03}', '"effective": {"lr": 0.04}') for line in text
    ]
    assert changed != text
    (tmp_path / "changed.jsonl").write_text("\n".join(changed) + "\n")
    report = replay(folder.path, ledger=tmp_path / "changed.jsonl", out_dir=tmp_path / "out")
    assert report.first_divergence is not None
    assert (report.first_divergence.step, report.first_divergence.field) == (4, "effective")


def test_another_code_is_found_at_its_first_step(folder: RunFolder, tmp_path: Path) -> None:
    def build() -> FakeTrainer:
        trainer = build_fake_trainer(folder.config, folder.path)
        trainer.seed += 1
        return trainer

    report = replay(folder.path, out_dir=tmp_path / "out", build_trainer=build)
    assert report.first_divergence is not None
    assert report.first_divergence.step == 1
    assert report.identical == 0


def test_on_another_machine_the_replay_is_compared_with_itself(
    folder: RunFolder, tmp_path: Path
) -> None:
    def build() -> FakeTrainer:
        trainer = build_fake_trainer(folder.config, folder.path)
        trainer.machine["cpu"] = "another"
        trainer._weights[0] += 1e-9
        return trainer

    report = replay(folder.path, out_dir=tmp_path / "out", build_trainer=build)
    assert report.promise == "self"
    assert report.is_identical
    assert report.deviation is not None
    assert report.deviation.step == 1


def test_a_trainer_that_is_not_deterministic_is_found_anywhere(
    folder: RunFolder, tmp_path: Path
) -> None:
    made: list[FakeTrainer] = []

    def build() -> FakeTrainer:
        trainer = build_fake_trainer(folder.config, folder.path)
        trainer.machine["cpu"] = "another"
        trainer._weights[0] += len(made)
        made.append(trainer)
        return trainer

    report = replay(folder.path, out_dir=tmp_path / "out", build_trainer=build)
    assert not report.is_identical
    assert report.first_divergence is not None


COMMANDS = st.sampled_from(
    [
        {"command": "update_optimizer", "lr": 0.01},
        {"command": "update_optimizer", "lr": 0.2},
        {"command": "update_optimizer", "lr": 7.0},
        {"command": "update_mixture", "weights": {"live": 0.5}},
        {"command": "update_mixture", "live_intake": False},
        {"command": "update_mixture", "live_intake": True},
        {"command": "save_checkpoint"},
        {"command": "evaluate"},
        {"command": "note", "text": "x"},
        {"command": "stop"},
        {"command": "load_checkpoint", "checkpoint": "main-000003"},
        {"command": "load_checkpoint", "checkpoint": "main-000003", "branch": "b2"},
        {"command": "load_checkpoint", "checkpoint": "b1-000006"},
    ]
)
PLACES = st.tuples(st.sampled_from(["main", "b1", "b2"]), st.integers(0, 9))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    commands=st.lists(st.tuples(PLACES, COMMANDS), max_size=10),
    rows=st.lists(PLACES, max_size=5, unique=True),
    ends=st.lists(st.integers(1, 9), max_size=2),
)
def test_whatever_is_sent_the_run_ends_and_replays(
    tmp_path_factory: pytest.TempPathFactory,
    commands: list[tuple[tuple[str, int], dict[str, object]]],
    rows: list[tuple[str, int]],
    ends: list[int],
) -> None:
    world = World()
    for seq, (place, command) in enumerate(commands, start=1):
        world.commands.setdefault(place, []).append(delivered(seq, command))
    for commit, place in enumerate(rows, start=1):
        world.rows.setdefault(place, []).append(data_row(commit))
    folder = make_run(tmp_path_factory.mktemp("any") / "run")
    stops = sum(command["command"] == "stop" for _, command in commands)
    for end in [*ends, *[10] * (stops + 1)]:
        cadence = Cadence(checkpoint_every=3, end_step=end)
        run_session(folder, world, cadence=cadence)
    ids = [e.body["command_id"] for e in read_ledger(folder.ledger) if "command_id" in e.body]
    assert len(ids) == len(set(ids))
    report = replay(folder.path)
    assert report.first_divergence is None
    assert report.is_identical
