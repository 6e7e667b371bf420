"""Runs that never were: without an intervention, or under the schedule that steering found."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from interactive.record.ledger import Entry, EntryKind, read_ledger
from interactive.record.metrics import MetricsRow, read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.ablate import ablate
from interactive.replaying.altered import UnknownEntry, applied, name_of, without
from interactive.replaying.counterfactual import Making, outcome_of
from interactive.replaying.freeze import freeze, schedule_of
from interactive.steering.boundary import Cadence
from tests.fake_trainer import FakeTrainer
from tests.fakes import World, data_row, delivered, make_run, run_session, withdrawal_row

END = 24
SAVE = {"command": "save_checkpoint"}
LOAD = {"command": "load_checkpoint", "checkpoint": "main-000006"}
MIXTURE = {"command": "update_mixture", "weights": {"base": 0.0}}
MAKING = Making(tail=5, save_every=4)


def lr(value: float) -> dict[str, Any]:
    return {"command": "update_optimizer", "lr": value}


def train(path: Path, commands: dict[tuple[str, int], list[Any]], *, end: int = END) -> RunFolder:
    folder = make_run(path, min_rows=2)
    world = World(
        commands=commands,
        rows={
            ("main", 0): [data_row(1, "base"), data_row(2, "base")],
            ("main", 5): [data_row(3, "live")],
            ("b1", 12): [data_row(4, "live")],
            ("b1", 14): [withdrawal_row(5, of=2)],
        },
    )
    run_session(folder, world, cadence=Cadence(evaluate_every=8, end_step=end))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Two changes that stay, one that was undone by going back, and one after that."""
    commands = {
        ("main", 3): [delivered(1, lr(0.03))],
        ("main", 6): [delivered(2, SAVE)],
        ("main", 8): [delivered(3, lr(0.9))],
        ("main", 11): [delivered(4, LOAD)],
        ("b1", 9): [delivered(5, MIXTURE), delivered(6, lr(0.04)), delivered(7, lr(0.02))],
    }
    return train(tmp_path_factory.mktemp("steered") / "run", commands)


def seq_of(folder: RunFolder, name: str, number: int = 0) -> int:
    return [e.seq for e in applied(read_ledger(folder.ledger)) if name_of(e) == name][number]


def losses(rows: Collection[MetricsRow], *branches: str) -> list[float]:
    return [row.loss for row in rows if row.branch in branches]


def bits(path: Path) -> list[tuple[Any, ...]]:
    rows = read_metrics(RunFolder(path).metrics)
    return [(r.branch, r.step, r.loss_bits, r.grad_norm_bits, r.digest, r.lr) for r in rows]


def test_the_full_run_is_the_run(folder: RunFolder, tmp_path: Path) -> None:
    rows = ablate(folder.path, tmp_path / "out", drops=[], making=MAKING)
    assert bits(tmp_path / "out" / "full") == bits(folder.path)
    recorded = list(read_metrics(folder.metrics))
    assert rows[0]["final"] == fmean(losses(recorded, "b1")[-5:])
    assert (rows[0]["delta"], rows[0]["dropped"], rows[0]["steps"]) == (0.0, [], END)
    assert set(rows[0]["measures"]) == {"rollout.distance"}


def test_without_an_intervention_it_is_the_run_in_which_it_was_not_sent(
    folder: RunFolder, tmp_path: Path
) -> None:
    """The last change of the lr, in a run that is steered alike but for it."""
    commands = {
        ("main", 3): [delivered(1, lr(0.03))],
        ("main", 6): [delivered(2, SAVE)],
        ("main", 8): [delivered(3, lr(0.9))],
        ("main", 11): [delivered(4, LOAD)],
        ("b1", 9): [delivered(5, MIXTURE), delivered(6, lr(0.04))],
    }
    twin = train(tmp_path / "twin", commands)
    seq = seq_of(folder, "update_optimizer", 3)
    full, row = ablate(folder.path, tmp_path / "out", drops=[{seq}], making=MAKING)
    assert bits(Path(row["runs"][0])) == bits(twin.path)
    assert (row["dropped"], row["what"]) == ([seq], ["update_optimizer at b1:10"])
    assert row["delta"] == row["final"] - full["final"] != 0
    assert row["lost"] == []


def test_each_leaves_out_what_changes_numbers(folder: RunFolder, tmp_path: Path) -> None:
    rows = ablate(folder.path, tmp_path / "out", making=MAKING)
    names = [name_of(e) for e in applied(read_ledger(folder.ledger))]
    assert sorted(names) == sorted(
        [*["update_optimizer"] * 4, "update_mixture", "load_checkpoint", "save_checkpoint"]
    )
    assert len(rows) == 1 + 6
    assert {row["steps"] for row in rows} == {END}
    assert all(RunFolder.open(Path(row["runs"][0])) for row in rows)


def test_without_going_back_the_line_goes_on(folder: RunFolder, tmp_path: Path) -> None:
    seq = seq_of(folder, "load_checkpoint")
    _, row = ablate(folder.path, tmp_path / "out", drops=[{seq}], making=MAKING)
    made = list(read_metrics(RunFolder(Path(row["runs"][0])).metrics))
    assert {r.branch for r in made} == {"main"}
    assert [r.step for r in made] == list(range(1, END + 1))
    assert {r.lr for r in made[8:]} == {0.9}
    assert [one["seq"] for one in row["lost"]] == [
        seq_of(folder, "update_mixture"),
        seq_of(folder, "update_optimizer", 2),
        seq_of(folder, "update_optimizer", 3),
    ]
    # Data come and go whoever steers.
    assert [r.mark for r in made if r.step in (12, 13, 14)] == [3, 4, 4]
    assert 2 not in {commit for r in made if r.step > 15 for commit in r.commits}


def test_a_return_to_a_checkpoint_that_is_not_made_is_lost(
    folder: RunFolder, tmp_path: Path
) -> None:
    seqs = {seq_of(folder, "save_checkpoint")}
    _, row = ablate(folder.path, tmp_path / "out", drops=[seqs], making=MAKING)
    assert row["lost"][0]["seq"] == seq_of(folder, "load_checkpoint")
    assert "main-000006 is not made" in row["lost"][0]["why"]
    assert len(row["lost"]) == 4


def test_a_resume_without_its_pause_is_lost(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", min_rows=1)
    world = World(
        rows={("main", 0): [data_row(1)]},
        commands={("main", 3): [delivered(1, {"command": "pause"})]},
        while_held=[delivered(2, lr(0.01)), delivered(3, {"command": "resume"})],
    )
    run_session(folder, world, cadence=Cadence(end_step=8))
    pause, resume = seq_of(folder, "pause"), seq_of(folder, "resume")
    _, row = ablate(folder.path, tmp_path / "out", drops=[{pause}], making=MAKING)
    assert row["lost"] == [{"seq": resume, "why": "there is no pause to end"}]
    assert row["delta"] == 0


def test_a_later_return_stays_when_an_earlier_one_is_dropped(tmp_path: Path) -> None:
    commands = {
        ("main", 6): [delivered(1, SAVE)],
        ("main", 9): [delivered(2, LOAD)],
        ("b1", 10): [delivered(3, {**LOAD, "branch": "b2"})],
        ("b2", 8): [delivered(4, lr(0.01))],
    }
    folder = train(tmp_path / "run", commands, end=12)
    first = seq_of(folder, "load_checkpoint")
    _, row = ablate(folder.path, tmp_path / "out", drops=[{first}], making=MAKING)
    made = [(r.branch, r.step) for r in read_metrics(RunFolder(Path(row["runs"][0])).metrics)]
    assert made == [("main", s) for s in range(1, 11)] + [("b2", s) for s in range(7, 13)]
    assert row["lost"] == []


@pytest.mark.parametrize(("relative", "last"), [(False, 0.02), (True, 0.02 / 0.03 * 0.05)])
def test_values_stay_or_ratios_do(tmp_path: Path, relative: bool, last: float) -> None:
    commands = {("main", 3): [delivered(1, lr(0.03))], ("main", 6): [delivered(2, lr(0.02))]}
    folder = train(tmp_path / "run", commands, end=10)
    drop = {seq_of(folder, "update_optimizer")}
    _, row = ablate(folder.path, tmp_path / "out", drops=[drop], relative=relative, making=MAKING)
    made = list(read_metrics(RunFolder(Path(row["runs"][0])).metrics))
    assert [made[4].lr, made[-1].lr] == [0.05, pytest.approx(last)]


@pytest.mark.parametrize(("relative", "factor"), [(False, 0.1), (True, 0.2)])
def test_a_factor_of_the_schedule_keeps_its_total_or_itself(
    tmp_path: Path, relative: bool, factor: float
) -> None:
    replaced = {"command": "replace_schedule", "schedule": "constant", "lr": 0.1}
    scale = {"command": "scale_schedule"}
    commands = {
        ("main", 2): [delivered(1, replaced)],
        ("main", 4): [delivered(2, {**scale, "factor": 0.5})],
        ("main", 6): [delivered(3, {**scale, "factor": 0.2})],
    }
    folder = train(tmp_path / "run", commands, end=10)
    drop = {seq_of(folder, "scale_schedule")}
    _, row = ablate(folder.path, tmp_path / "out", drops=[drop], relative=relative, making=MAKING)
    made = list(read_metrics(RunFolder(Path(row["runs"][0])).metrics))
    assert made[-1].lr == pytest.approx(0.1 * factor)


def test_what_is_refused_without_it_is_lost(tmp_path: Path) -> None:
    replaced = {"command": "replace_schedule", "schedule": "constant", "lr": 0.1}
    scaled = {"command": "scale_schedule", "factor": 0.5}
    commands = {("main", 2): [delivered(1, replaced)], ("main", 4): [delivered(2, scaled)]}
    folder = train(tmp_path / "run", commands, end=8)
    drop = {seq_of(folder, "replace_schedule")}
    _, row = ablate(folder.path, tmp_path / "out", drops=[drop], making=MAKING)
    assert [one["seq"] for one in row["lost"]] == [seq_of(folder, "scale_schedule")]
    assert row["lost"][0]["why"].startswith("unsupported")


def test_over_seeds_each_is_with_and_without(folder: RunFolder, tmp_path: Path) -> None:
    def with_seed(source: RunFolder, seed: int) -> str:
        return json.dumps({**json.loads(source.config.read_text()), "seed": seed})

    making = Making(with_seed=with_seed, tail=5)
    seq = seq_of(folder, "update_optimizer")
    full, row = ablate(folder.path, tmp_path / "out", drops=[{seq}], seeds=3, making=making)
    assert row["seeds"] == [3, 4, 5]
    assert len(row["runs"]) == 3
    one = {
        kind: [
            json.loads((Path(run) / "outcome.json").read_text())["final"] for run in each["runs"]
        ]
        for kind, each in (("full", full), ("without", row))
    }
    assert len(set(one["full"])) == 3
    deltas = [a - b for a, b in zip(one["without"], one["full"], strict=True)]
    assert row["delta"] == pytest.approx(fmean(deltas))
    assert row["delta_sd"] > 0


def test_an_entry_that_is_no_intervention_is_named(folder: RunFolder) -> None:
    with pytest.raises(UnknownEntry, match="seq 0"):
        without(read_ledger(folder.ledger), {0}, END)


class Killed(BaseException):
    """The process dies here."""


def test_an_ablation_that_is_killed_goes_on(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drops = [{seq_of(folder, "update_optimizer")}, {seq_of(folder, "load_checkpoint")}]
    whole = ablate(folder.path, tmp_path / "whole", drops=drops, making=MAKING)
    step, left = FakeTrainer.train_step, 0

    def dying(self: FakeTrainer) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        return step(self)

    monkeypatch.setattr(FakeTrainer, "train_step", dying)
    kills = 0
    while True:
        left = 17
        try:
            rows = ablate(folder.path, tmp_path / "out", drops=drops, making=MAKING)
            break
        except Killed:
            kills += 1
    assert kills > 3

    def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "runs": [Path(run).name for run in row["runs"]]} for row in rows]

    assert plain(rows) == plain(whole)


def test_the_frozen_schedule_makes_the_surviving_line(folder: RunFolder, tmp_path: Path) -> None:
    found = freeze(folder.path, tmp_path / "out", making=MAKING)
    assert (found["identical"], found["steps"]) == (END, END)
    steered, frozen, untouched = found["rows"]
    assert (frozen["final"], frozen["delta"]) == (steered["final"], 0.0)
    assert untouched["delta"] != 0
    made = list(read_metrics(RunFolder(Path(frozen["runs"][0])).metrics))
    assert [(r.branch, r.step) for r in made] == [("main", s) for s in range(1, END + 1)]
    idle = list(read_metrics(RunFolder(Path(untouched["runs"][0])).metrics))
    assert {r.lr for r in idle} == {0.05}
    assert [r.mark for r in idle] == [r.mark for r in made]


def test_the_schedule_is_what_the_line_ran_under(folder: RunFolder, tmp_path: Path) -> None:
    found = freeze(folder.path, tmp_path / "out", making=MAKING)
    written = tomllib.loads(Path(found["schedule"]).read_text())
    seqs = [e.seq for e in applied(read_ledger(folder.ledger)) if name_of(e) == "update_optimizer"]
    assert written["steps"] == END
    assert written["change"] == [
        {"step": 4, "command": "update_optimizer", "lr": 0.03, "from_ledger": [seqs[0]]},
        {
            "step": 10,
            "command": "update_mixture",
            "weights": {"base": 0.0},
            "from_ledger": [seq_of(folder, "update_mixture")],
        },
        {"step": 10, "command": "update_optimizer", "lr": 0.02, "from_ledger": seqs[2:]},
    ]
    assert seqs[1] in found["rows"][1]["dropped"]


def test_what_was_undone_is_not_in_the_schedule(folder: RunFolder) -> None:
    entries = read_ledger(folder.ledger)
    on_main = schedule_of(entries, "main")
    assert [c.command["lr"] for c in on_main.changes] == [0.03, 0.9]
    assert {e.kind for e in on_main.data} == {EntryKind.MARK}


def test_a_loss_that_is_no_number_is_an_outcome(folder: RunFolder) -> None:
    entries: list[Entry] = read_ledger(folder.ledger)
    rows = list(read_metrics(folder.metrics))
    spoilt = [replace(r, loss=float("nan")) if r.step > 20 else r for r in rows]
    found = outcome_of(entries, spoilt, "b1", END, tail=5)
    assert found.to_json()["final"] == "NaN"
    assert found.best < float("inf")
