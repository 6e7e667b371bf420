from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from neuralos.data.batch import Batch
from neuralos.data.encode import ACTION_SIZE, KEY_SLOTS
from neuralos.keyed import torch_generator
from neuralos.models.paper.simulator import PaperSimulator
from neuralos.ranks import OneRank
from neuralos.training.config import ObjectiveConfig, OptimizerConfig
from neuralos.training.latent_loss import DenoisingLoss, GuessLoss
from neuralos.training.loss import Loss, Objective
from neuralos.training.micro_batches import Sum, joined, split
from neuralos.training.optim import Optimizer
from neuralos.training.own_frames import with_own_frames
from neuralos.training.parts import train_only
from neuralos.training.stages import Stage
from tests.unit.neuralos.micro_paper import micro_simulator

PLAIN = ObjectiveConfig(feedback_noise=0.0, still_weight=1.0)
CARRIED = Stage("carried", denoised=2, guess=0.1)
WINDOW = Stage("window", loss_on="last")


@pytest.fixture
def simulator() -> PaperSimulator:
    """A small simulator of the public architecture."""
    return micro_simulator()


@pytest.fixture
def batch() -> Batch:
    """Three lanes of five frames; the second has only three that are valid."""
    draws = torch_generator(0, "batch")
    action = torch.zeros(3, 6, ACTION_SIZE)
    action[..., :2] = torch.rand(3, 6, 2, generator=draws) * 300
    action[..., -1] = 1
    valid = torch.ones(3, 5, dtype=torch.bool)
    valid[1, 3:] = False
    return Batch(
        torch.randn(3, 6, 4, 6, 8, generator=draws),
        action,
        torch.zeros(3, 5, KEY_SLOTS, dtype=torch.long),
        valid,
        torch.ones(3, dtype=torch.bool),
        torch.arange(3),
    )


def loss_of(
    simulator: PaperSimulator, objective: Objective, batch: Batch, config: ObjectiveConfig = PLAIN
) -> Loss:
    state = simulator.initial_state(batch.latent_BUCHW[:, 0], batch.action_BUA[:, 0])
    return objective(simulator, batch, state, config, torch_generator(0, "loss", 1))


def gradients(simulator: PaperSimulator, loss: Tensor) -> dict[str, Tensor]:
    simulator.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    named = simulator.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


def test_the_guess_is_the_mean_squared_error_of_the_contexts_first_channels(
    simulator: PaperSimulator, batch: Batch
) -> None:
    state = simulator.initial_state(batch.latent_BUCHW[:, 0], batch.action_BUA[:, 0])
    context, _ = simulator.unroll(batch.latent_BUCHW, batch.action_BUA, batch.keys_BTK, state)
    error = (context[:, :, :4] - batch.latent_BUCHW[:, 1:]).square().mean((2, 3, 4))
    every = loss_of(simulator, GuessLoss(Stage("a"), 1), batch).total
    torch.testing.assert_close(every, error[batch.valid_BT].mean())
    last = loss_of(simulator, GuessLoss(WINDOW, 1), batch).total
    torch.testing.assert_close(last, torch.stack([error[0, 4], error[1, 2], error[2, 4]]).mean())


@pytest.mark.parametrize("prediction", ["x0", "eps"])
def test_denoising_is_the_mean_squared_error_of_clean_latent_or_noise(
    simulator: PaperSimulator, batch: Batch, prediction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A denoiser that knows the answer has no loss; one that gives zeros has its square."""
    clean = batch.latent_BUCHW[:, 1:][batch.valid_BT]
    seen = []

    def know(noisy: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        seen.append(timestep)
        alpha = simulator.noise_table.alpha_S[timestep].view(-1, 1, 1, 1)
        noise = (noisy - alpha.sqrt() * clean) / (1 - alpha).sqrt()
        return clean if prediction == "x0" else noise

    monkeypatch.setattr(simulator, "denoise", know)
    monkeypatch.setattr(PaperSimulator, "prediction", prediction)
    loss = loss_of(simulator, DenoisingLoss(Stage("a"), 1, 0), batch)
    assert loss.total.item() < 1e-4
    assert 0 <= int(seen[0].min()) < int(seen[0].max()) < 1000
    monkeypatch.setattr(simulator, "denoise", lambda noisy, timestep, context: 0 * noisy)
    assert 0.5 < loss_of(simulator, DenoisingLoss(Stage("a"), 1, 0), batch).total.item() < 2


def test_a_stage_decides_what_gets_gradients(simulator: PaperSimulator, batch: Batch) -> None:
    train_only(simulator, ("denoiser",))
    names = gradients(simulator, loss_of(simulator, DenoisingLoss(WINDOW, 1, 0), batch).total)
    assert names
    assert all(name.startswith("denoiser.") for name in names)
    train_only(simulator, ("rnn", "denoiser"))
    names = gradients(simulator, loss_of(simulator, DenoisingLoss(WINDOW, 1, 0), batch).total)
    assert {name.partition(".")[0] for name in names} == {"denoiser", "temporal"}


def test_only_the_last_valid_frame_bears_the_papers_loss(
    simulator: PaperSimulator, batch: Batch
) -> None:
    other = batch.latent_BUCHW.clone()
    other[:, 1:3] += 1
    changed = replace(batch, latent_BUCHW=other)
    window = DenoisingLoss(WINDOW, 1, 0)
    assert loss_of(simulator, window, batch).count == 3
    assert loss_of(simulator, DenoisingLoss(Stage("a"), 1, 0), batch).count == 13
    cells = replace(PLAIN, still_weight=0.5)
    assert loss_of(simulator, window, changed, cells).total.isfinite()


@pytest.mark.parametrize("stage", [CARRIED, WINDOW, replace(CARRIED, denoised=0)])
def test_micro_batches_have_the_loss_and_gradients_of_the_whole(
    simulator: PaperSimulator, batch: Batch, stage: Stage
) -> None:
    """Within 1e-5 of each value: the same numbers are added up in another order."""
    config = replace(PLAIN, feedback_noise=0.3)
    objective = DenoisingLoss(stage, 1, 0)
    whole = loss_of(simulator, objective, batch, config)
    wanted = gradients(simulator, whole.total)
    optimizer = Optimizer(simulator, OptimizerConfig())
    passes = list(split(3, 2))
    assert passes == [slice(0, 2), slice(2, 3)]
    total, states = Sum(optimizer, len(passes), OneRank()), []
    for rows in passes:
        loss = loss_of(simulator, objective, batch.rows(rows), config)
        total.add(loss.total, loss.parts, loss.count)
        states.append(loss.state)
    total.end()
    assert total.mean() == pytest.approx(whole.total.item(), rel=1e-5)
    for name, part in whole.parts.items():
        assert total.parts()[name] == pytest.approx(part.item(), rel=1e-5)
    for one, two in zip(joined(states).tensors(), whole.state.tensors(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
    for name, parameter in simulator.named_parameters():
        if name in wanted:
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-4, atol=1e-5)


def test_recomputed_activations_give_the_same_gradients(
    simulator: PaperSimulator, batch: Batch
) -> None:
    kept = loss_of(simulator, DenoisingLoss(CARRIED, 1, 0), batch).total
    wanted = gradients(simulator, kept)
    again = loss_of(simulator, DenoisingLoss(CARRIED, 1, 2), batch).total
    torch.testing.assert_close(again, kept)
    found = gradients(simulator, again)
    assert found.keys() == wanted.keys()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-6)


def test_own_frames_are_drawn_from_what_was_drawn_before(
    simulator: PaperSimulator, batch: Batch
) -> None:
    state = simulator.initial_state(batch.latent_BUCHW[:, 0], batch.action_BUA[:, 0])
    generator = torch_generator(0, "loss", 1)
    own = with_own_frames(simulator, batch, state, 2, 2, generator).latent_BUCHW
    assert own[:, [0, 1, 2, 5]].equal(batch.latent_BUCHW[:, [0, 1, 2, 5]])
    assert not own[:, 3].equal(batch.latent_BUCHW[:, 3])
    one = with_own_frames(simulator, batch, state, 1, 2, generator).latent_BUCHW
    assert one[:, :4].equal(batch.latent_BUCHW[:, :4])
    assert not one[:, 4].equal(own[:, 4])
    everything = with_own_frames(simulator, batch, state, 99, 2, generator).latent_BUCHW
    assert everything[:, [0, 5]].equal(batch.latent_BUCHW[:, [0, 5]])
    alone = with_own_frames(
        simulator, batch.rows(slice(1, 2)), state.map(lambda t: t[1:2]), 2, 2, generator
    )
    torch.testing.assert_close(alone.latent_BUCHW, own[1:2], rtol=1e-4, atol=1e-5)


def test_scheduled_sampling_comes_every_twentieth_step(
    simulator: PaperSimulator, batch: Batch
) -> None:
    stage = replace(WINDOW, own_frames=1, own_sampler_steps=2)
    truth = loss_of(simulator, GuessLoss(WINDOW, 1), batch).total
    assert loss_of(simulator, GuessLoss(stage, 19), batch).total.equal(truth)
    assert not loss_of(simulator, GuessLoss(stage, 20), batch).total.equal(truth)


def test_autocast_carries_a_state_in_single_precision_on(
    simulator: PaperSimulator, batch: Batch
) -> None:
    full = loss_of(simulator, DenoisingLoss(CARRIED, 1, 0), batch).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss_of(simulator, DenoisingLoss(CARRIED, 1, 0), batch).total
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(full.item(), rel=0.05)
