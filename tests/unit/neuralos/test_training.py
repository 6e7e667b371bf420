from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from data_collection.events import Button, ButtonChanged
from data_collection.storage.store import read_clip
from data_collection.trace import Clip, ClipRow
from interactive.commands import UpdateMixture, UpdateOptimizer
from interactive.outcome import Reason, Rejected
from interactive.trainer import DataRow, Plan, StepRecord
from neuralos.build import build_simulator
from neuralos.control import SteeredTrainer, create_trainer
from neuralos.data.encode import reduce_frames
from neuralos.data.latents import EncodedClip, LatentStore
from neuralos.data.reading import ClipReader, ClipSource, clips_of
from neuralos.data.rows import AdoptedClips
from neuralos.data.sampler import Segment
from neuralos.data.segments import assemble
from neuralos.keyed import torch_generator
from neuralos.models.patch_code import PatchCode
from neuralos.run_config import read_config
from neuralos.shapes import Screen
from neuralos.training.config import OptimizerConfig
from neuralos.training.objective import segment_loss
from neuralos.training.optim import Optimizer

Recorded = tuple[Path, list[ClipRow]]


def data_rows(rows: list[ClipRow]) -> list[DataRow]:
    return [DataRow(row.commit, row.to_json()) for row in rows]


def start(config: Path, recorded: Recorded) -> SteeredTrainer:
    run_dir, rows = recorded
    trainer = create_trainer(config, run_dir)
    trainer.adopt(len(rows), data_rows(rows))
    return trainer


def bits(records: list[StepRecord]) -> list[tuple[object, ...]]:
    return [(r.step, r.loss, r.grad_norm, r.lr, r.digest, r.commits) for r in records]


def test_is_ready_once_enough_is_adopted(micro_config: Path, recorded: Recorded) -> None:
    run_dir, rows = recorded
    trainer = create_trainer(micro_config, run_dir)
    trainer.adopt(3, data_rows(rows[:3]))
    assert not trainer.ready()
    trainer.adopt(4, data_rows(rows[3:4]))
    assert trainer.ready()


def test_two_runs_are_bit_identical(micro_config: Path, recorded: Recorded) -> None:
    one, two = start(micro_config, recorded), start(micro_config, recorded)
    assert bits([one.train_step() for _ in range(5)]) == bits([two.train_step() for _ in range(5)])


def test_resumed_run_is_bit_identical(
    micro_config: Path, recorded: Recorded, tmp_path: Path
) -> None:
    run_dir, rows = recorded
    straight = create_trainer(micro_config, run_dir)
    straight.adopt(6, data_rows(rows[:6]))
    for _ in range(3):
        straight.train_step()
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    straight.save(folder)
    resumed = create_trainer(micro_config, run_dir)
    resumed.load(folder)
    assert resumed.step == 3
    for trainer in (straight, resumed):
        trainer.adopt(9, data_rows(rows[6:]))
    plan = straight.plan(UpdateOptimizer(lr=1e-4, beta1=0.5))
    same = resumed.plan(UpdateOptimizer(lr=1e-4, beta1=0.5))
    assert isinstance(plan, Plan)
    assert isinstance(same, Plan)
    plan.apply()
    same.apply()
    straight_records = [straight.train_step() for _ in range(4)]
    assert bits(straight_records) == bits([resumed.train_step() for _ in range(4)])
    assert straight_records[0].lr == 1e-4


def test_evaluating_and_saving_do_not_shift_training(
    micro_config: Path, recorded: Recorded, tmp_path: Path
) -> None:
    plain, watched = start(micro_config, recorded), start(micro_config, recorded)
    records = []
    for index in range(3):
        records.append(watched.train_step())
        result = watched.evaluate("rollout", "main")
        assert (recorded[0] / result.picture).is_file()
        folder = tmp_path / str(index)
        folder.mkdir()
        watched.save(folder)
    assert bits(records) == bits([plain.train_step() for _ in range(3)])


def test_the_same_segments_are_drawn_better_after_some_updates(
    micro_config: Path, recorded: Recorded
) -> None:
    run_dir, rows = recorded
    config = read_config(micro_config)
    simulator = build_simulator(replace(config.simulator, architecture="gated"), seed=0)
    clips = AdoptedClips()
    clips.adopt(len(rows), rows)
    simulator.autoencoder.fit(reduce_frames(read_clip(run_dir / "traces", rows[0]).frames))
    store = LatentStore(ClipReader(clips_of(run_dir / "traces")), clips, simulator.autoencoder, 9)
    segments = [Segment(f"trace-{index}", 8, 12, starts=True, fresh=False) for index in (0, 1)]
    batch, _ = assemble(segments, 12, clips, store)
    optimizer = Optimizer(simulator, OptimizerConfig(lr=1e-2, warmup_steps=1))
    losses = []
    for step in range(1, 31):
        state = simulator.initial_state(batch.latent_BUCHW[:, 0], batch.action_BUA[:, 0])
        generator = torch_generator(0, "test")
        loss = segment_loss(simulator, batch, state, config.objective, generator)
        losses.append({name: part.item() for name, part in loss.parts.items()})
        optimizer.update(loss.total, step)
    for part in ("fate", "draft", "diffusion"):
        assert losses[-1][part] < 0.9 * losses[0][part]


def test_fresh_live_clip_bears_a_loss_at_the_next_step(
    micro_config: Path, recorded: Recorded
) -> None:
    run_dir, rows = recorded
    trainer = create_trainer(micro_config, run_dir)
    trainer.adopt(6, data_rows(rows[:6]))
    trainer.train_step()
    trainer.adopt(9, data_rows(rows[6:]))
    used = [trainer.train_step().commits for _ in range(3)]
    assert [rows[6 + i].commit in commits for i, commits in enumerate(used)] == [True] * 3


def test_optimizer_plan_reports_and_applies(micro_config: Path, recorded: Recorded) -> None:
    trainer = start(micro_config, recorded)
    plan = trainer.plan(UpdateOptimizer(lr=5e-4, max_grad_norm=2.0))
    assert isinstance(plan, Plan)
    warming_up = 3e-3 / 40
    assert plan.old == {"lr": warming_up, "max_grad_norm": 1.0}
    assert plan.effective == {"lr": 5e-4, "max_grad_norm": 2.0, "schedule": "detached"}
    assert trainer.settings()["optimizer"]["lr"] == warming_up
    plan.apply()
    assert trainer.train_step().lr == 5e-4


def test_mixture_plan_names_the_steps_it_spans(micro_config: Path, recorded: Recorded) -> None:
    trainer = start(micro_config, recorded)
    trainer.train_step()
    plan = trainer.plan(UpdateMixture(weights={"base": 0.0}, fresh_rows=1))
    assert isinstance(plan, Plan)
    assert plan.effective["weights"] == {"base": 0.0, "live": 1.0}
    assert plan.effective["fresh_rows"] == 1
    first, last = plan.effective["first_step"], plan.effective["last_step"]
    plan.apply()
    while trainer.step < last - 1:
        trainer.train_step()
    assert first == 2
    live = {row.commit for row in recorded[1] if row.source == "live"}
    assert set(trainer.train_step().commits) <= live


def test_unknown_source_is_refused_with_the_nearest(micro_config: Path, recorded: Recorded) -> None:
    answer = start(micro_config, recorded).plan(UpdateMixture(weights={"lvie": 1.0}))
    assert isinstance(answer, Rejected)
    assert answer.code is Reason.UNKNOWN_SOURCE
    assert "'live'" in answer.hint


def test_mixture_of_nothing_is_refused(micro_config: Path, recorded: Recorded) -> None:
    answer = start(micro_config, recorded).plan(UpdateMixture(weights={"base": 0.0, "live": 0.0}))
    assert isinstance(answer, Rejected)


@pytest.mark.parametrize("damage", ["shape", "missing", "truncated"])
def test_foreign_checkpoint_names_the_tensor(
    micro_config: Path, recorded: Recorded, tmp_path: Path, damage: str
) -> None:
    trainer = start(micro_config, recorded)
    trainer.train_step()
    before = trainer.digest()
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    trainer.save(folder)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    if damage == "shape":
        tensors["fate.weight"] = torch.zeros(1)
    elif damage == "missing":
        del tensors["fate.weight"]
    save_file(tensors, path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:100])
    expected = r"model\.safetensors" if damage == "truncated" else r"'fate\.weight'"
    with pytest.raises(ValueError, match=expected):
        trainer.load(folder)
    assert trainer.digest() == before


def test_more_fresh_rows_than_lanes_are_refused(micro_config: Path, recorded: Recorded) -> None:
    trainer = start(micro_config, recorded)
    refused = trainer.plan(UpdateMixture(fresh_rows=9))
    assert isinstance(refused, Rejected)
    assert refused.code is Reason.OUT_OF_BOUNDS


def test_a_clip_that_comes_late_changes_what_is_kept_of_the_next(recorded: Recorded) -> None:
    """A run that goes on and one that is restarted read the same first action."""
    run_dir, rows = recorded
    read = read_from(run_dir / "traces")
    changed = 0
    for first, late, last in (rows[0:3], rows[3:6], rows[6:9]):
        clips, whole = AdoptedClips(), AdoptedClips()
        store = LatentStore(
            ClipReader(ClipSource(read, lambda row: read(row).events)),
            clips,
            PatchCode(4, Screen()),
            cached_clips=9,
        )
        store.forget(clips.adopt(last.commit, [first, last]))
        alone = store.get([last])
        store.forget(clips.adopt(last.commit + 1, [late]))
        whole.adopt(last.commit + 1, [first, late, last])
        restarted = LatentStore(
            ClipReader(ClipSource(read, lambda row: read(row).events)),
            whole,
            PatchCode(4, Screen()),
            cached_clips=9,
        ).get([last])
        changed += not same(alone, restarted)
        assert same(store.get([last]), restarted)
    assert changed, "in some trace the late clip tells what is held when the next begins"


def read_from(traces: Path) -> Callable[[ClipRow], Clip]:
    """Return a reader that leaves a button held at the end of every second clip."""

    def read(row: ClipRow) -> Clip:
        clip = read_clip(traces, row)
        if row.seq != 1:
            return clip
        held = ButtonChanged(Button.LEFT, True, 9, 9)
        return replace(clip, events=(*clip.events[:-1], (*clip.events[-1], held)))

    return read


def same(ones: dict[int, EncodedClip], others: dict[int, EncodedClip]) -> bool:
    (one,), (other,) = ones.values(), others.values()
    return np.array_equal(one.actions, other.actions) and np.array_equal(one.keys, other.keys)


def test_packed_clips_are_read_once_and_give_the_same_bits(recorded: Recorded) -> None:
    run_dir, rows = recorded
    reads: list[int] = []

    def read(row: ClipRow) -> Clip:
        reads.append(row.commit)
        return read_clip(run_dir / "traces", row)

    def store(packed: int) -> LatentStore:
        clips = AdoptedClips()
        clips.adopt(9, rows)
        reader = ClipReader(ClipSource(read, lambda row: read_clip(run_dir / "traces", row).events))
        return LatentStore(reader, clips, PatchCode(4, Screen()), 1, packed)

    plain, kept = store(0), store(8)
    for row in (*rows[:8], *rows[:8]):
        one, other = plain.get([row])[row.commit], kept.get([row])[row.commit]
        assert torch.equal(one.latents, other.latents)
        assert np.array_equal(one.actions, other.actions)
    assert len(reads) == 16 + 8
    kept.forget([rows[0].commit])
    kept.get([rows[0]])
    kept.get([rows[8]])
    kept.get([rows[1]])
    assert reads[-3:] == [rows[0].commit, rows[8].commit, rows[1].commit]
