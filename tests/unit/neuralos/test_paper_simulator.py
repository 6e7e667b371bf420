"""The public architecture as a simulator: its state, its input, its folders, playing it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from data_collection.action import Action, fold
from data_collection.events import Button, ButtonChanged, KeyChanged, PointerMoved
from neuralos.build import build_simulator
from neuralos.checkpoints.folder import Sampling, simulator_config
from neuralos.checkpoints.importing import import_public
from neuralos.checkpoints.public import ImportChoices
from neuralos.config import ConfigError, read_document, to_toml
from neuralos.data.encode import encode_action, encode_keys
from neuralos.models.config import SimulatorConfig
from neuralos.models.paper.action_reader import ActionReader
from neuralos.models.paper.config import PaperConfig
from neuralos.models.paper.inputs import BrowserInputs
from neuralos.models.paper.keys import KEY_NAMES, KEY_ROWS, browser_row, scancode_rows
from neuralos.models.paper.simulator import PaperState
from neuralos.play import create
from neuralos.run_config import read_config
from neuralos.runtime.engine import Known, make_engine
from neuralos.runtime.inputs import Controls
from neuralos.weights import load_simulator, load_weights, save_simulator
from tests.unit.neuralos.micro_paper import MICRO_PAPER, micro_simulator

FIXTURE = Path(__file__).parents[2] / "data" / "neuralos_reference"
SHIFT, CTRL, KEY_A, KEY_1 = 225, 224, 4, 30


def _actions(batch: int, frames: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    action = torch.zeros(batch, frames, 11)
    action[:, :, 0] = torch.randint(512, (batch, frames), generator=generator)
    action[:, :, 1] = torch.randint(384, (batch, frames), generator=generator)
    action[:, :, 2] = torch.randint(2, (batch, frames), generator=generator)
    action[:, :, 10] = 1
    keys = torch.randint(4, 100, (batch, frames, 8), generator=generator)
    return action, keys


def test_unroll_follows_as_take_does() -> None:
    simulator, (action, keys) = micro_simulator(), _actions(2, 5, 1)
    latents = torch.randn(2, 5, 4, 6, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        first = simulator.initial_state(latents[:, 0], action[:, 0])
        contexts, last = simulator.unroll(latents, action, keys[:, 1:], first)
        state = first
        for t in range(1, 5):
            state = simulator.take(state, latents[:, t], action[:, t], keys[:, t])
    assert contexts.shape == (2, 4, 8, 6, 8)
    for name, tensor in state.state_dict().items():
        assert torch.allclose(tensor, last.state_dict()[name], atol=1e-5), name


def test_a_row_of_a_batch_is_the_single_session() -> None:
    simulator, (action, keys) = micro_simulator(), _actions(3, 4, 2)
    noise = torch.randn(3, 4, 4, 6, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        together = simulator.start_state(action[:, 0])
        alone = simulator.start_state(action[1:2, 0])
        for t in range(1, 4):
            latent, together = simulator.step(together, action[:, t], keys[:, t], noise[:, t])
            single, alone = simulator.step(alone, action[1:2, t], keys[1:2, t], noise[1:2, t])
            assert torch.allclose(latent[1:2], single, atol=1e-5)
    for name, tensor in alone.state_dict().items():
        assert torch.allclose(together.state_dict()[name][1:2], tensor, atol=1e-5), name


def test_a_session_starts_otherwise_than_a_clip() -> None:
    simulator, (action, _) = micro_simulator(), _actions(1, 1, 3)
    start = simulator.start_state(action[:, 0])
    midway = simulator.initial_state(start.latent, action[:, 0])
    raw = simulator.autoencoder.denormalise(start.latent)
    assert torch.allclose(raw, torch.zeros_like(raw), atol=1e-6)
    assert not torch.equal(start.feedback, midway.feedback)


def test_pointers_and_keys_that_cannot_be_are_counted() -> None:
    simulator = micro_simulator()
    action = torch.zeros(4, 11)
    action[0, :2] = torch.tensor([511.9, 383.9])
    action[1, :2] = torch.tensor([9999.0, -4.0])
    action[2, :2] = torch.tensor([-1.0, 5.0])
    action[3, :2] = torch.tensor([float("nan"), float("inf")])
    keys = torch.zeros(4, 8, dtype=torch.long)
    keys[1, :3] = torch.tensor([KEY_A, 500, 104])
    keys[2, :2] = torch.tensor([-7, 70_000])
    noise = torch.zeros(4, 4, 6, 8)
    with torch.no_grad():
        state = simulator.start_state(action)
        latent, after = simulator.step(state, action, keys, noise)
        _, after = simulator.step(after, action, keys, noise)
    assert torch.isfinite(latent).all()
    assert after.changed.tolist() == [[0, 0], [2, 4], [2, 4], [2, 0]]
    inputs, _ = simulator.reader(action, keys)
    assert inputs.x.tolist() == [63, 63, 0, 0]
    assert inputs.y.tolist() == [47, 0, 0, 47]


def test_keys_reach_the_rows_that_a_browser_would_name() -> None:
    reader = ActionReader(PaperConfig(), 1)
    frames = [
        [KeyChanged(KEY_A, "a", True), KeyChanged(CTRL, "left ctrl", True)],
        [KeyChanged(SHIFT, "left shift", True), KeyChanged(KEY_1, "1", True)],
        [KeyChanged(SHIFT, "left shift", False), KeyChanged(KEY_A, "a", False)],
    ]
    wanted = [{"a", "ctrl"}, {"a", "ctrl", "shift", "!"}, {"ctrl", "1"}]
    before = Action()
    for events, names in zip(frames, wanted, strict=True):
        now = fold(events, before)
        keys = torch.from_numpy(encode_keys(now, before))[None]
        inputs, changed = reader(torch.from_numpy(encode_action(now))[None], keys)
        held = {KEY_NAMES[row] for row in inputs.keys[0].nonzero().flatten().tolist()}
        assert held == names
        assert changed.tolist() == [[0, 0]]
        before = now


def test_buttons_count_when_held_or_clicked() -> None:
    reader = ActionReader(PaperConfig(), 1)
    press = ButtonChanged(Button.LEFT, True, 3, 4)
    release = ButtonChanged(Button.LEFT, False, 3, 4)
    right = ButtonChanged(Button.RIGHT, True, 3, 4)
    for events, wanted in (
        ([press], (True, False)),
        ([press, release], (True, False)),
        ([right], (False, True)),
        ([PointerMoved(5, 6)], (False, False)),
    ):
        action = torch.from_numpy(encode_action(fold(events, Action())))[None]
        inputs, _ = reader(action, torch.zeros(1, 8, dtype=torch.long))
        assert (bool(inputs.left), bool(inputs.right)) == wanted


def test_the_keys_are_the_public_ones() -> None:
    config = json.loads((FIXTURE / "config.json").read_text())
    assert list(KEY_NAMES) == config["keys"]
    assert len(KEY_ROWS) == 179
    assert browser_row("ArrowUp") == KEY_ROWS["up"]
    assert browser_row("Meta") == KEY_ROWS["command"]
    assert browser_row("NoSuchKey") is None
    plain, shifted = scancode_rows(512)
    assert KEY_NAMES[plain[KEY_1]] == "1"
    assert KEY_NAMES[shifted[KEY_1]] == "!"
    assert plain[KEY_A] == shifted[KEY_A] == KEY_ROWS["a"]
    assert KEY_NAMES[plain[228]] == "ctrl"


def test_browser_events_are_counted_where_they_are_changed() -> None:
    browser = BrowserInputs(MICRO_PAPER)
    browser.frame(-3.5, 10, (False, False), ["Control", "Gone"], [], True)
    frame = browser.frame(63.5, 1e9, (True, False), [], ["control", "Nor"], False)
    assert (browser.clamped, browser.unknown_keys) == (2, 2)
    assert (frame.x.item(), frame.y.item(), bool(frame.keys.any())) == (63, 47, False)


def test_a_simulator_is_read_back_from_its_parts(tmp_path: Path) -> None:
    simulator = micro_simulator(sampler_steps=4)
    simulator.first_frame.fill_(9)
    average = {"denoiser.conv_in.bias": torch.full((32,), 0.25)}
    save_simulator(tmp_path, simulator, average, 7)
    loaded = load_simulator(tmp_path)
    assert loaded.step == 7
    assert loaded.simulator.config == simulator.config
    wanted = {**simulator.state_dict(), **average}
    found = loaded.simulator.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_builders_build_it(tmp_path: Path) -> None:
    config = micro_simulator().config
    path = tmp_path / "paper.toml"
    path.write_text(to_toml({"simulator": config}))
    assert read_document(path).section("simulator", SimulatorConfig) == config
    first, second = build_simulator(config, 5), build_simulator(config, 5)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_configuration_file_is_the_public_model() -> None:
    path = Path(__file__).parents[3] / "configs" / "paper.toml"
    config = read_document(path).section("simulator", SimulatorConfig)
    assert config.architecture == "paper"
    assert config.paper == PaperConfig()


def test_a_screen_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="the model shows 64×48 pixels"):
        SimulatorConfig("paper", paper=MICRO_PAPER)
    with pytest.raises(ConfigError, match="the model shows 512×384"):
        read_document(None, ("simulator.architecture=paper",)).section("simulator", SimulatorConfig)
    with pytest.raises(ValueError, match="it can be checked, not played"):
        simulator_config(PaperConfig(grid_width=10), Sampling())


def test_an_imported_checkpoint_is_played(tmp_path: Path) -> None:
    import_public(FIXTURE, tmp_path / "out", ImportChoices(), Sampling(2))
    desktop = create(checkpoint=str(tmp_path / "out"))
    first = desktop.step([PointerMoved(100, 100)])
    second = desktop.step([ButtonChanged(Button.LEFT, True, 300, 200)])
    assert first.shape == second.shape == (384, 512, 3)
    assert not np.array_equal(first, second)
    desktop.close()


def test_a_run_may_begin_with_imported_weights(tmp_path: Path) -> None:
    import_public(FIXTURE, tmp_path, ImportChoices(), Sampling(2))
    simulator = build_simulator(read_config(tmp_path / "simulator.toml").simulator, 1)
    simulator.load_state_dict(load_weights(tmp_path, simulator))
    wanted = load_simulator(tmp_path).simulator.state_dict()
    assert all(torch.equal(simulator.state_dict()[name], wanted[name]) for name in wanted)
    assert simulator.autoencoder.is_fitted
    with pytest.raises(ValueError, match="tensor"):
        load_weights(tmp_path, micro_simulator())


def test_a_checkpoint_that_was_spoiled_is_not_played(tmp_path: Path) -> None:
    import_public(FIXTURE, tmp_path / "out", ImportChoices(), Sampling(2))
    shutil.rmtree(tmp_path / "out" / "unet")
    with pytest.raises(ValueError, match=r"^unet: "):
        create(checkpoint=str(tmp_path / "out"))


def test_a_player_follows_and_draws() -> None:
    simulator = micro_simulator()
    frame = np.zeros((48, 64, 3), dtype=np.uint8)
    action, keys = encode_action(Action(x_px=20, y_px=30)), np.zeros(8, dtype=np.int64)
    engine = make_engine(simulator, slots=1)
    known = Known(np.stack((frame, frame)), np.stack((action, action)), np.stack((keys, keys)))
    session = engine.join(engine.board("someone", 0, known))
    drawn = engine.step({session: Controls(action, keys)}).frames[session]
    assert drawn.shape == (48, 64, 3)
    assert isinstance(engine.park(session).state, PaperState)
