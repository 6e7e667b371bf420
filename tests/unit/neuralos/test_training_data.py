"""Training while clips are withdrawn, cannot be read, or are read by several threads."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data_collection.trace import ClipRow, ClipState
from interactive.commands import UpdateMixture
from interactive.trainer import DataLost, DataRow, Plan, StepRecord
from neuralos.control import SteeredTrainer, create_trainer

Recorded = tuple[Path, list[ClipRow]]


def data_rows(rows: Sequence[ClipRow]) -> list[DataRow]:
    return [DataRow(row.commit, row.to_json()) for row in rows]


def bits(records: list[StepRecord]) -> list[tuple[object, ...]]:
    return [(r.step, r.loss, r.grad_norm, r.lr, r.digest, r.commits) for r in records]


@pytest.fixture
def own_copy(recorded: Recorded, tmp_path: Path) -> Recorded:
    """The recorded run in a folder whose clips may be damaged."""
    run_dir, rows = recorded
    shutil.copytree(run_dir, tmp_path / "run")
    return tmp_path / "run", rows


def start(config: Path, recorded: Recorded) -> SteeredTrainer:
    trainer = create_trainer(config, recorded[0])
    trainer.adopt(len(recorded[1]), data_rows(recorded[1]))
    return trainer


def damage(run_dir: Path, row: ClipRow) -> None:
    """Overwrite a clip with zeros, as a purge does."""
    with open(run_dir / "traces" / row.file, "r+b") as file:
        file.seek(row.offset)
        file.write(bytes(row.length))


def step_or_lose(trainer: SteeredTrainer) -> tuple[StepRecord, list[tuple[int, ...]]]:
    """Make a step as a live run does; return it with the clips that were lost before it."""
    losses: list[tuple[int, ...]] = []
    while True:
        before = trainer.step
        try:
            return trainer.train_step(), losses
        except DataLost as lost:
            losses.append(lost.commits)
            if trainer.step != before:
                raise
            trainer.withdraw(lost.commits)


def test_workers_change_no_bit(micro_config: Path, own_copy: Recorded, tmp_path: Path) -> None:
    run_dir, rows = own_copy
    text = micro_config.read_text().replace("lanes = 2", "lanes = 6")
    text = text.replace("fit_clips = 4", "fit_clips = 4\ncached_clips = 2\npacked_clips = 0")
    trainers = []
    for number in (0, 4):
        config = tmp_path / f"{number}.toml"
        config.write_text(text.replace("[lanes]", f"[lanes]\nworkers = {number}"))
        trainers.append(start(config, own_copy))
    losses = []
    for step in range(8):
        if step == 3:
            damage(run_dir, rows[4])
            damage(run_dir, rows[6])
        (one, lost), (other, also_lost) = map(step_or_lose, trainers)
        assert bits([one]) == bits([other])
        assert lost == also_lost
        losses += lost
    assert losses


def test_a_withdrawn_clip_is_used_by_no_later_step(micro_config: Path, recorded: Recorded) -> None:
    trainer = start(micro_config, recorded)
    rows = recorded[1]
    used = {commit for _ in range(6) for commit in trainer.train_step().commits}
    gone = sorted(used & {row.commit for row in rows})[:2]
    trainer.withdraw(gone)
    later = {commit for _ in range(12) for commit in trainer.train_step().commits}
    assert later
    assert not later & set(gone)


def test_a_checkpoint_after_a_withdrawal_holds_no_picture_of_the_clip(
    micro_config: Path, recorded: Recorded, tmp_path: Path
) -> None:
    """Lanes that had read it begin anew; the simulator begins with another picture."""
    trainer = start(micro_config, recorded)
    for _ in range(2):
        trainer.train_step()
    one = {row.commit for row in recorded[1] if row.trace_id == "trace-0"}
    everything = {row.commit for row in recorded[1]}
    saved = []
    for number, gone in enumerate((set[int](), one, everything - one)):
        if gone:
            trainer.withdraw(sorted(gone))
        folder = tmp_path / str(number)
        folder.mkdir()
        trainer.save(folder)
        lanes, model = (load_file(folder / f"{name}.safetensors") for name in ("lanes", "model"))
        saved.append((lanes["memory"].abs().amax((1, 2, 3)), model["first_frame"].float()))
    (before, first), (_, second), (after, last) = saved
    assert (before > 0).all()
    assert (after == 0).all()
    assert first.std() > 0
    assert not torch.equal(first, second)
    assert (last == 0).all()


def test_a_row_that_withdraws_a_clip_of_the_same_mark_keeps_it_out(
    micro_config: Path, recorded: Recorded
) -> None:
    run_dir, rows = recorded
    trainer = create_trainer(micro_config, run_dir)
    gone = replace(rows[-1], commit=len(rows) + 1, state=ClipState.TOMBSTONED)
    trainer.adopt(gone.commit, data_rows([*rows, gone]))
    used = {commit for _ in range(12) for commit in trainer.train_step().commits}
    assert rows[-1].commit not in used


def test_a_step_that_cannot_read_a_clip_leaves_the_trainer_as_it_was(
    micro_config: Path, own_copy: Recorded, recorded: Recorded, tmp_path: Path
) -> None:
    """What the run then makes is what a replay makes that is told of the loss beforehand."""
    run_dir, rows = own_copy
    config = micro_config.read_text() + "\n"
    micro_config.write_text(
        config.replace("fit_clips = 4", "fit_clips = 4\ncached_clips = 1\npacked_clips = 0")
    )
    live, told = start(micro_config, own_copy), start(micro_config, recorded)
    records, again = [], []
    damaged, lost = {3: rows[1], 5: rows[6]}, set[int]()
    for step in range(10):
        if step in damaged:
            damage(run_dir, damaged[step])
        record, losses = step_or_lose(live)
        for commits in losses:
            told.withdraw(commits)
        records.append(record)
        again.append(told.train_step())
        lost.update(commit for commits in losses for commit in commits)
    assert bits(records) == bits(again)
    assert lost
    assert lost <= {row.commit for row in damaged.values()}


def test_a_clip_lost_before_the_first_step_is_not_in_the_patch_code(
    micro_config: Path, own_copy: Recorded, recorded: Recorded
) -> None:
    run_dir, rows = own_copy
    damage(run_dir, rows[0])
    live, told = start(micro_config, own_copy), start(micro_config, recorded)
    with pytest.raises(DataLost) as lost:
        live.train_step()
    assert lost.value.commits == (rows[0].commit,)
    live.withdraw(lost.value.commits)
    told.withdraw(lost.value.commits)
    live_records = [live.train_step() for _ in range(3)]
    assert bits(live_records) == bits([told.train_step() for _ in range(3)])


def test_a_folder_that_cannot_be_read_is_no_loss_of_data(
    micro_config: Path, own_copy: Recorded
) -> None:
    run_dir, rows = own_copy
    trainer = start(micro_config, own_copy)
    for row in rows:
        path = run_dir / "traces" / row.file
        if path.is_file():
            path.unlink()
            path.mkdir()
    with pytest.raises(OSError, match="cannot be read"):
        trainer.train_step()


def test_the_cap_can_be_steered(micro_config: Path, recorded: Recorded) -> None:
    trainer = start(micro_config, recorded)
    plan = trainer.plan(UpdateMixture(trace_cap=0.5))
    assert isinstance(plan, Plan)
    assert (plan.old, plan.effective["trace_cap"]) == ({"trace_cap": 1.0}, 0.5)
    plan.apply()
    assert trainer.settings()["mixture"]["trace_cap"] == 0.5
