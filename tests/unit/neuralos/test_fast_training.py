from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data_collection.storage.store import read_clip
from data_collection.trace import ClipRow
from interactive.trainer import DataRow
from neuralos.build import build_simulator
from neuralos.control import SteeredTrainer, create_trainer
from neuralos.data.batch import Batch
from neuralos.data.encode import reduce_frames
from neuralos.data.latents import LatentStore
from neuralos.data.reading import ClipReader, clips_of
from neuralos.data.rows import AdoptedClips
from neuralos.data.sampler import Segment
from neuralos.data.segments import assemble
from neuralos.data.thinning import thinned
from neuralos.keyed import torch_generator
from neuralos.models.config import SimulatorConfig
from neuralos.models.fast.simulator import FastSimulator
from neuralos.run_config import NeuralosConfig, read_config
from neuralos.training.config import ObjectiveConfig, OptimizerConfig
from neuralos.training.fast_loss import DrawingLoss
from neuralos.training.loss import Loss
from neuralos.training.optim import Optimizer
from neuralos.training.stages import Stage

Recorded = tuple[Path, list[ClipRow]]
STAGE = Stage("fast", objective="drawing", denoised=3)


def start(config: Path, recorded: Recorded) -> SteeredTrainer:
    run_dir, rows = recorded
    trainer = create_trainer(config, run_dir)
    trainer.adopt(len(rows), [DataRow(row.commit, row.to_json()) for row in rows])
    return trainer


def a_batch(recorded: Recorded, config: NeuralosConfig) -> tuple[FastSimulator, Batch]:
    run_dir, rows = recorded
    simulator = build_simulator(config.simulator, seed=0)
    assert isinstance(simulator, FastSimulator)
    simulator.autoencoder.fit(reduce_frames(read_clip(run_dir / "traces", rows[0]).frames))
    clips = AdoptedClips()
    clips.adopt(len(rows), rows)
    store = LatentStore(ClipReader(clips_of(run_dir / "traces")), clips, simulator.autoencoder, 9)
    segments = [Segment(f"trace-{index}", 8, 12, starts=True, fresh=False) for index in (0, 1)]
    return simulator, assemble(segments, 12, clips, store)[0]


def loss_of(
    simulator: FastSimulator, batch: Batch, objective: DrawingLoss, config: ObjectiveConfig
) -> Loss:
    state = simulator.initial_state(batch.latent_BUCHW[:, 0], batch.action_BUA[:, 0])
    return objective(simulator, batch, state, config, torch_generator(0, "test"))


def test_a_run_goes_through_its_stages_and_resumes_exactly(
    fast_config: Path, recorded: Recorded, tmp_path: Path
) -> None:
    straight = start(fast_config, recorded)
    before = straight.train_step()
    assert straight.train_step().loss != before.loss
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    straight.save(folder)
    resumed = create_trainer(fast_config, recorded[0])
    resumed.load(folder)
    for _ in range(3):
        one, two = straight.train_step(), resumed.train_step()
        assert (one.loss, one.digest) == (two.loss, two.digest)


def test_the_same_segments_are_drawn_better_after_some_updates(
    fast_config: Path, recorded: Recorded
) -> None:
    config = read_config(fast_config)
    simulator, batch = a_batch(recorded, config)
    optimizer = Optimizer(simulator, OptimizerConfig(lr=3e-3, warmup_steps=1))
    objective = DrawingLoss(STAGE, 1, 0)
    losses = []
    for step in range(1, 25):
        loss = loss_of(simulator, batch, objective, config.objective)
        losses.append({name: part.item() for name, part in loss.parts.items()})
        optimizer.update(loss.total, step)
    assert losses[0].keys() == {"fate", "draft", "drawing"}
    for part in ("fate", "draft", "drawing"):
        assert losses[-1][part] < 0.9 * losses[0][part]


def test_a_stage_trains_only_its_parts(fast_config: Path, recorded: Recorded) -> None:
    config = read_config(fast_config)
    simulator, batch = a_batch(recorded, config)
    for parts, names in ((("rnn",), {"fate", "draft"}), (("denoiser",), {"drawing"})):
        objective = DrawingLoss(replace(STAGE, trains=parts), 1, 0)
        loss = loss_of(simulator, batch, objective, config.objective)
        assert loss.parts.keys() == names
        simulator.zero_grad()
        loss.total.backward()
        touched = {
            name.split(".")[0] for name, p in simulator.named_parameters() if p.grad is not None
        }
        assert ("denoiser" in touched) == ("denoiser" in parts)
        assert ("tracker" in touched) == ("rnn" in parts)


def test_a_lane_draws_the_same_whatever_other_lanes_there_are(
    fast_config: Path, recorded: Recorded
) -> None:
    config = read_config(fast_config)
    simulator, batch = a_batch(recorded, config)
    stage = replace(STAGE, own_frames=3, own_every=1)
    objective = DrawingLoss(stage, 1, 0, distils=True)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in simulator.parameters():
            parameter += 0.02 * torch.randn(parameter.shape)
        whole = loss_of(simulator, batch, objective, config.objective)
        alone = [
            loss_of(simulator, batch.rows(slice(row, row + 1)), objective, config.objective)
            for row in range(2)
        ]
    assert whole.count == sum(one.count for one in alone)
    for name in ("fate", "draft", "drawing", "distilling"):
        mean = sum(float(one.parts[name]) * one.count for one in alone) / whole.count
        assert abs(mean - float(whole.parts[name])) < 1e-4


def test_frames_at_once_change_no_loss(fast_config: Path, recorded: Recorded) -> None:
    config = read_config(fast_config)
    simulator, batch = a_batch(recorded, config)
    losses, gradients = [], []
    for at_once in (0, 2):
        simulator.zero_grad()
        objective = DrawingLoss(STAGE, 1, at_once, distils=True)
        loss = loss_of(simulator, batch, objective, config.objective)
        loss.total.backward()
        losses.append(loss.total.item())
        gradients.append(simulator.denoiser.unet.conv_out.weight.grad)
    assert abs(losses[0] - losses[1]) < 1e-5
    assert torch.allclose(*gradients, atol=1e-5)


def test_loss_on_the_last_frame_counts_one_frame_a_lane(
    fast_config: Path, recorded: Recorded
) -> None:
    config = read_config(fast_config)
    simulator, batch = a_batch(recorded, config)
    valid = batch.valid_BT.clone()
    valid[1, 5:] = False
    batch = replace(batch, valid_BT=valid)
    loss = loss_of(
        simulator, batch, DrawingLoss(replace(STAGE, loss_on="last"), 1, 0), config.objective
    )
    assert loss.count == 2
    every = loss_of(simulator, batch, DrawingLoss(STAGE, 1, 0), config.objective)
    assert every.count == 17


def test_distilling_needs_a_renderer_that_is_told_strides(
    fast_config: Path, recorded: Recorded
) -> None:
    config = read_config(fast_config)
    path = replace(config.simulator.fast.path, shortcuts=False)
    fast = replace(config.simulator.fast, path=path)
    config = replace(config, simulator=replace(config.simulator, fast=fast))
    simulator, batch = a_batch(recorded, config)
    with pytest.raises(ValueError, match="shortcuts = true"):
        loss_of(simulator, batch, DrawingLoss(STAGE, 1, 0, distils=True), config.objective)
    other = build_simulator(SimulatorConfig(), seed=0)
    state = other.initial_state(torch.zeros(2, *other.latent_shape), batch.action_BUA[:, 0])
    with pytest.raises(TypeError, match="CollageSimulator"):
        DrawingLoss(STAGE, 1, 0)(other, batch, state, config.objective, torch_generator(0, "t"))


def test_thinned_frames_tell_all_that_happened_since_the_one_before() -> None:
    action = torch.zeros(1, 5, 11)
    action[0, :, 0] = torch.tensor([10.0, 20, 30, 40, 50])
    action[0, 1:, 10] = 1
    action[0, 1, 5], action[0, 2, 3], action[0, 3, 9] = 1, 1, 1
    action[0, 1:3, 8] = 2
    keys = torch.zeros(1, 4, 8, dtype=torch.long)
    keys[0, 0, 0], keys[0, 1, 0], keys[0, 1, 4] = 7, 9, 7
    valid = torch.tensor([[True, True, True, False]])
    latent = torch.arange(5.0).view(1, 5, 1, 1, 1)
    whole = Batch(latent, action, keys, valid, torch.tensor([True]), torch.tensor([0]))
    kept = thinned(whole, 2)
    assert kept.latent_BUCHW.flatten().tolist() == [0, 2, 4]
    assert kept.action_BUA[0, :, 0].tolist() == [10, 30, 50]
    assert kept.action_BUA[0, 1].tolist() == [30, 0, 0, 1, 0, 1, 0, 0, 3, 0, 2]
    assert kept.action_BUA[0, 2, 8:].tolist() == [0, 1, 2]
    assert kept.keys_BTK[0, 0].tolist() == [9, 7, 0, 0, 7, 0, 0, 0]
    assert kept.valid_BT.tolist() == [[True, False]]
    assert thinned(whole, 1) is whole
    with pytest.raises(ValueError, match="every 3th"):
        thinned(whole, 3)


def test_periods_thin_some_batches(fast_config: Path, recorded: Recorded) -> None:
    config = read_config(fast_config)
    simulator, batch = a_batch(recorded, config)
    state = simulator.initial_state(batch.latent_BUCHW[:, 0], batch.action_BUA[:, 0])
    objective = replace(config.objective, periods=2)
    counts = {
        DrawingLoss(STAGE, 1, 0)(
            simulator, batch, state, objective, torch_generator(seed, "test")
        ).count
        for seed in range(6)
    }
    assert counts == {24.0, 12.0}
