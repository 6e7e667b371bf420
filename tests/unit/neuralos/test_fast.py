from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from neuralos.build import build_simulator
from neuralos.config import ConfigError, read_document
from neuralos.data.encode import ACTION_SIZE, KEY_SLOTS
from neuralos.models.architectures import make_simulator
from neuralos.models.config import SimulatorConfig
from neuralos.models.cursor import CursorTable, Reach, covered_cells
from neuralos.models.fast.config import FastConfig, TrackerConfig
from neuralos.models.fast.recurrence import make_recurrence, scan
from neuralos.models.fast.simulator import KEEP, FastSimulator, FastState
from neuralos.models.patch_code import PatchCode
from neuralos.models.simulator import Simulator
from neuralos.models.small_autoencoder import SmallAutoencoder
from neuralos.run_config import read_config
from neuralos.runtime.engine import make_engine
from neuralos.runtime.inputs import NO_CONTROLS, Controls
from neuralos.shapes import Screen
from neuralos.weights import load_simulator, save_simulator

FULL = Path("configs/fast.toml")


@pytest.fixture
def micro(fast_config: Path) -> SimulatorConfig:
    return read_config(fast_config).simulator


def drawn_inputs(simulator: Simulator, batch: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return latents (B, T + 1, C, H, W), actions (B, T + 1, A) and keys (B, T, K)."""
    generator = torch.Generator().manual_seed(3)
    latent = torch.randn(batch, frames + 1, *simulator.latent_shape, generator=generator)
    action = torch.rand(batch, frames + 1, ACTION_SIZE, generator=generator)
    action[..., 0] *= 512
    action[..., 1] *= 384
    keys = torch.randint(0, 300, (batch, frames, KEY_SLOTS), generator=generator)
    return latent, action, keys * (keys > 200)


def stirred(config: SimulatorConfig) -> FastSimulator:
    """Return a simulator none of whose parts is zero."""
    simulator = build_simulator(config, seed=0)
    assert isinstance(simulator, FastSimulator)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in simulator.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
        if isinstance(simulator.autoencoder, PatchCode):
            basis = simulator.autoencoder.basis
            basis.copy_(0.1 * torch.randn(basis.shape, generator=generator))
    return simulator.eval()


def parts(config: SimulatorConfig, **changes: object) -> SimulatorConfig:
    return replace(config, fast=replace(config.fast, **changes))  # type: ignore[arg-type]


@torch.no_grad()
def run(simulator: Simulator, batch: int, frames: int, rows: slice) -> Tensor:
    latent, action, keys = drawn_inputs(simulator, batch, frames)
    state = simulator.initial_state(latent[rows, 0], action[rows, 0])
    drawn = []
    for t in range(frames):
        noise = latent[rows, t + 1]
        one, state = simulator.step(state, action[rows, t + 1], keys[rows, t], noise)
        drawn.append(one)
    return torch.stack(drawn, 1)


@pytest.mark.parametrize("recurrence", ["lstm", "mingru"])
def test_a_row_of_a_batch_is_the_session_alone(micro: SimulatorConfig, recurrence: str) -> None:
    tracker = replace(micro.fast.tracker, recurrence=recurrence)
    simulator = stirred(parts(micro, tracker=tracker, gate=False))
    together = run(simulator, 3, 4, slice(None))
    assert together.std() > 0
    for row in range(3):
        alone = run(simulator, 3, 4, slice(row, row + 1))
        assert torch.allclose(alone[0], together[row], atol=1e-5)


@pytest.mark.parametrize("recurrence", ["lstm", "mingru"])
def test_unrolled_is_stepped(micro: SimulatorConfig, recurrence: str) -> None:
    tracker = replace(micro.fast.tracker, recurrence=recurrence, layers=2)
    simulator = stirred(parts(micro, tracker=tracker))
    latent, action, keys = drawn_inputs(simulator, 2, 5)
    first = simulator.initial_state(latent[:, 0], action[:, 0])
    state, memory = first, []
    with torch.no_grad():
        for t in range(5):
            memory.append(state.memory)
            state = simulator.take(state, latent[:, t + 1], action[:, t + 1], keys[:, t])
        seen = simulator.observe(latent[:, :-1], torch.stack(memory, 1), action, keys, first.carry)
    assert torch.allclose(seen.carry_BS, state.carry, atol=1e-5)
    assert not torch.equal(state.carry, first.carry)


def test_scan_joins_spans_to_what_a_loop_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    keep, add = torch.rand(2, 2, 7, 3, generator=generator)
    state = first = torch.rand(2, 3, generator=generator)
    wanted = []
    for t in range(7):
        state = keep[:, t] * state + add[:, t]
        wanted.append(state)
    assert torch.allclose(scan(keep, add, first), torch.stack(wanted, 1), atol=1e-6)


def test_carry_of_an_lstm_keeps_layers_and_rows_apart() -> None:
    torch.manual_seed(0)
    recurrence = make_recurrence(4, TrackerConfig(hidden=4, layers=2))
    inputs, carry = torch.randn(3, 1, 4), torch.randn(3, recurrence.size)
    _, together = recurrence(inputs, carry)
    for row in range(3):
        _, alone = recurrence(inputs[row : row + 1], carry[row : row + 1])
        assert torch.allclose(alone[0], together[row], atol=1e-6)


def test_gate_leaves_cells_exactly_as_they_were(micro: SimulatorConfig) -> None:
    simulator = stirred(micro)
    latent, action, keys = drawn_inputs(simulator, 1, 1)
    state = simulator.initial_state(latent[:, 0], action[:, 0])
    with torch.no_grad():
        simulator.fate.weight.zero_()
        for fate, is_kept in ((KEEP, True), (2, False)):
            simulator.fate.bias.copy_(torch.eye(3)[fate])
            drawn, after = simulator.step(state, action[:, 1], keys[:, 0], latent[:, 1])
            assert torch.equal(drawn, state.latent) == is_kept
            assert torch.equal(after.latent, drawn)


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs.cursor": "map", "inputs.buttons": False, "inputs.wheel": False},
        {"inputs.cursor": "table", "inputs.period": False},
        {"tracker.head": "linear"},
        {"path.kind": "edm", "path.start": "noise"},
        {"path.kind": "ddpm", "path.start": "noise", "path.shortcuts": False},
        {"memory": False, "gate": False},
    ],
)
def test_every_choice_draws_a_frame(fast_config: Path, changes: dict[str, object]) -> None:
    overrides = [f"simulator.fast.{key}={str(value).lower()}" for key, value in changes.items()]
    document = read_document(fast_config, overrides)
    simulator = stirred(document.section("simulator", SimulatorConfig))
    with torch.no_grad():
        simulator.fate.bias.copy_(torch.tensor((0.0, 0.0, 9.0)))
    drawn = run(simulator, 1, 2, slice(None))
    assert drawn.isfinite().all()
    assert not torch.equal(drawn[:, 0], drawn[:, 1])


def test_what_is_not_told_changes_nothing(micro: SimulatorConfig) -> None:
    latent, action, keys = drawn_inputs(build_simulator(micro, 0), 1, 1)
    more = action.clone()
    more[:, :, [2, 3, 4, 8, 9, 10]] += 1
    for is_told in (True, False):
        told = replace(micro.fast.inputs, buttons=is_told, wheel=is_told, period=is_told)
        simulator = stirred(parts(micro, inputs=told, gate=False))
        state = simulator.initial_state(latent[:, 0], action[:, 0])
        drawn = [
            simulator.step(state, one[:, 1], keys[:, 0], latent[:, 1])[0] for one in (action, more)
        ]
        assert torch.equal(*drawn) == (not is_told)


def test_weights_are_saved_and_loaded(micro: SimulatorConfig, tmp_path: Path) -> None:
    simulator = stirred(micro)
    save_simulator(tmp_path, simulator, {}, step=7)
    loaded = load_simulator(tmp_path)
    assert loaded.step == 7
    assert torch.equal(run(loaded.simulator, 1, 2, slice(None)), run(simulator, 1, 2, slice(None)))


@pytest.mark.parametrize("recurrence", ["lstm", "mingru"])
def test_half_precision_draws_nearly_the_same(micro: SimulatorConfig, recurrence: str) -> None:
    tracker = replace(micro.fast.tracker, recurrence=recurrence)
    simulator = stirred(parts(micro, tracker=tracker, gate=False))
    exact = run(simulator, 2, 3, slice(None))
    with torch.autocast("cpu", torch.bfloat16):
        half = run(simulator, 2, 3, slice(None))
    assert not torch.equal(half.float(), exact)
    assert (half.float() - exact).abs().mean() < 0.05 * exact.abs().mean()


@pytest.mark.parametrize("changes", [{}, {"gate": False}])
def test_a_session_in_an_engine_is_itself_alone(
    micro: SimulatorConfig, changes: dict[str, object]
) -> None:
    actions = 300 * np.random.default_rng(4).random((4, 3, ACTION_SIZE), dtype=np.float32)
    shown = []
    for slots in (1, 3):
        engine = make_engine(stirred(parts(micro, **changes)), slots)
        boarding = [engine.board_fresh(name, 7, NO_CONTROLS) for name in "abc"[:slots]]
        sessions = [engine.join(one) for one in boarding]
        frames = []
        for action in actions:
            given = {one: Controls(action[i], NO_CONTROLS.keys) for i, one in enumerate(sessions)}
            frames.append(engine.step(given).frames[sessions[0]].copy())
        shown.append(np.stack(frames))
    assert (shown[0] == shown[1]).all()
    assert shown[0].std() > 0


def test_a_state_of_another_architecture_is_refused(micro: SimulatorConfig) -> None:
    simulator = build_simulator(micro, 0)
    other = build_simulator(SimulatorConfig(), 0)
    latent, action, keys = drawn_inputs(other, 1, 1)
    state = other.initial_state(latent[:, 0], action[:, 0])
    with pytest.raises(TypeError, match="FastState"):
        simulator.take(state, latent[:, 1], action[:, 1], keys[:, 0])


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("fast.inputs.cursor=dot", "cursor 'dot'"),
        ("fast.tracker.head=flat", "head 'flat'"),
        ("fast.tracker.coarse=6", "halved"),
        ("fast.renderer.widths=[8]", "attention flags"),
        ("fast.autoencoder=large", "autoencoder 'large'"),
    ],
)
def test_choices_that_there_are_not_are_refused(
    fast_config: Path, override: str, word: str
) -> None:
    with pytest.raises(ConfigError, match=word):
        read_document(fast_config, [f"simulator.{override}"]).section("simulator", SimulatorConfig)


def test_cursor_table_covers_what_the_cursor_covers() -> None:
    assert Reach.on(Screen(4)) == Reach(1, 1, 1, 1)
    assert Reach.on(Screen(1)) == Reach(1, 3, 1, 3)
    generator = torch.Generator().manual_seed(0)
    for screen in (Screen(1), Screen(2), Screen(4)):
        table = CursorTable(1, screen)
        torch.nn.init.ones_(table.looks)
        extent = torch.tensor([screen.width_px - 1.0, screen.height_px - 1.0])
        position = torch.rand(40, 2, generator=generator) * extent
        assert (table(position)[:, :1] != 0)[covered_cells(position, screen)].all()


def test_small_autoencoder_normalises_each_channel() -> None:
    torch.manual_seed(0)
    config = read_config(FULL).simulator.fast.small
    code = SmallAutoencoder(4, replace(config, width=8), Screen(4))
    frames = torch.randint(0, 256, (9, 96, 128, 3), dtype=torch.uint8)
    with torch.no_grad():
        before = code.encode(frames)
        assert not code.is_fitted
        code.fit(frames.numpy())
        latent = code.encode(frames)
    assert code.is_fitted
    assert not torch.allclose(before, latent)
    flat = latent.transpose(0, 1).flatten(1)
    assert torch.allclose(flat.mean(1), torch.zeros(4), atol=1e-4)
    assert torch.allclose(flat.std(1), torch.ones(4), atol=1e-3)
    assert code.decode(latent).shape == frames.shape
    code.unfit()
    assert torch.equal(code.encode(frames), before)
    with pytest.raises(ValueError, match="cells of 8 px"):
        SmallAutoencoder(4, replace(config, encoder_blocks=(1, 1)), Screen(4))


def test_patches_are_another_autoencoder(micro: SimulatorConfig) -> None:
    assert isinstance(build_simulator(micro, 0).autoencoder, PatchCode)
    assert FastConfig().autoencoder == "small"


def test_full_size_on_the_meta_device() -> None:
    """The table in docs/simulator.md; a frame costs below 0.3 TFLOP in 1 or 2 steps."""
    config = read_config(FULL).simulator
    with torch.device("meta"):
        simulator = make_simulator(config).requires_grad_(False)
        latent, action = torch.empty(1, 16, 48, 64), torch.empty(1, ACTION_SIZE)
        keys = torch.empty(1, KEY_SLOTS, dtype=torch.long)
    assert isinstance(simulator, FastSimulator)
    millions = {
        name: round(sum(p.numel() for p in module.parameters()) / 1e6, 1)
        for name, module in simulator.named_modules()
        if name in ("autoencoder", "tracker", "tracker.head", "denoiser")
    }
    assert millions == {
        "autoencoder": 2.5,
        "tracker": 92.1,
        "tracker.head": 51.9,
        "denoiser": 88.7,
    }
    gflops = {}
    with torch.no_grad():
        state = simulator.initial_state(latent, action)
        for steps in (1, 2):
            simulator.config = replace(config, sampler_steps=steps)
            with FlopCounterMode(display=False) as counter:
                drawn, after = simulator.step(state, action, keys, latent)
                simulator.autoencoder.decode(drawn)
            gflops[steps] = round(counter.get_total_flops() / 1e9)
    assert gflops == {1: 154, 2: 200}
    assert isinstance(after, FastState)
    assert drawn.shape == (1, 16, 48, 64)
