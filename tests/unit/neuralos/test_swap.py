from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data_collection.events import PointerMoved
from neuralos import play, weights
from neuralos.models.simulator import Simulator
from neuralos.play import NewestSimulator, SimulatorDesktop
from neuralos.runtime import engine as engine_module
from neuralos.runtime.engine import BadPassenger, make_engine
from neuralos.runtime.swap import SwapRefused
from neuralos.weights import save_simulator
from tests.unit.neuralos.engines import (
    join,
    play_on,
    shaken_simulator,
    some_known,
    state_of,
)


def tensors(simulator: Simulator) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in simulator.state_dict().items()}


def test_after_a_swap_the_new_weights_go_on_with_the_old_state(micro_config: Path) -> None:
    old, new = (shaken_simulator(micro_config, seed) for seed in (1, 2))
    engine = make_engine(old, 2)
    session = join(engine, "someone")
    play_on(engine, session, 2)
    carried = state_of(engine, session)
    engine.swap(engine.stage(copy.deepcopy(new)))
    for name, tensor in state_of(engine, session).items():
        assert torch.equal(tensor, carried[name]), name
    other = make_engine(new, 2)
    parked = engine.park(session)
    here, there = engine.join(parked), other.join(parked)
    np.testing.assert_array_equal(play_on(engine, here, 2), play_on(other, there, 2))
    assert engine.simulator is old
    for name, tensor in old.state_dict().items():
        assert torch.equal(tensor, new.state_dict()[name]), name


def test_staging_changes_nothing_that_runs(micro_config: Path) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 1)
    before = tensors(engine.simulator)
    engine.stage(shaken_simulator(micro_config, 2, code_seed=3))
    for name, tensor in engine.simulator.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_latents_of_another_autoencoder_are_coded_anew(micro_config: Path) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 2)
    session = join(engine, "someone")
    play_on(engine, session, 1)
    before = state_of(engine, session)
    shown = engine.simulator.autoencoder.decode(before["latent"][None])
    new = shaken_simulator(micro_config, 1, code_seed=8)
    early = engine.board("early", 0, some_known("early", new.screen))
    engine.swap(engine.stage(copy.deepcopy(new)))
    after = state_of(engine, session)
    torch.testing.assert_close(after["latent"][None], new.autoencoder.encode(shown))
    assert not torch.equal(after["memory"], before["memory"])
    assert torch.equal(after["hidden"], before["hidden"])
    assert not any(tensor[1].any() for tensor in engine._buffers.state.tensors())
    with pytest.raises(BadPassenger, match="early: made for another autoencoder"):
        engine.join(early)


def spoil_nan(simulator: Simulator) -> None:
    dict(simulator.named_parameters())["first_hidden"][3] = torch.nan


def spoil_shape(simulator: Simulator) -> None:
    simulator.first_hidden = torch.nn.Parameter(torch.zeros(3), requires_grad=False)


def spoil_missing(simulator: Simulator) -> None:
    del simulator.first_hidden


def spoil_surplus(simulator: Simulator) -> None:
    simulator.register_buffer("more", torch.zeros(1))


def spoil_config(simulator: Simulator) -> None:
    simulator.config = replace(simulator.config, sampler_steps=4)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_nan, "first_hidden: not all of its numbers are finite"),
        (spoil_shape, r"first_hidden: \(3,\), not \(8,\)"),
        (spoil_missing, "first_hidden: not among the new weights"),
        (spoil_surplus, "more: not among the weights that run"),
        (spoil_config, "another configuration: sampler_steps is 4, not 1"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    micro_config: Path, spoil: Callable[[Simulator], None], said: str
) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 1)
    before = tensors(engine.simulator)
    new = shaken_simulator(micro_config, 2)
    spoil(new)
    with pytest.raises(SwapRefused, match=said):
        engine.stage(new)
    for name, tensor in engine.simulator.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_swap_while_someone_boards_makes_them_board_again(
    micro_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 1)
    staged = [engine.stage(shaken_simulator(micro_config, 2, code_seed=3))]
    encode_frames = engine_module.encode_frames

    def encode_and_swap(*arguments: object) -> torch.Tensor:
        latents = encode_frames(*arguments)
        if staged:
            engine.swap(staged.pop())
        return latents

    monkeypatch.setattr(engine_module, "encode_frames", encode_and_swap)
    known = some_known("someone", engine.simulator.screen)
    passenger = engine.board("someone", 0, known)
    again = engine.board("someone", 0, known)
    for one, other in zip(passenger.state.tensors(), again.state.tensors(), strict=True):
        assert torch.equal(one, other)
    engine.join(passenger)


def publish(folder: Path, config: Path, seed: int) -> None:
    folder.mkdir(parents=True)
    simulator = shaken_simulator(config, seed)
    save_simulator(folder, simulator, dict(simulator.named_parameters()), seed)


def test_a_step_of_the_desktop_only_copies_weights(
    micro_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are read, weights checked and engines built by the thread that follows."""
    mine, elsewhere = threading.get_ident(), []

    def watched(act: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **more: object) -> object:
            assert threading.get_ident() != mine
            elsewhere.append(act.__name__)
            return act(*arguments, **more)

        return call

    monkeypatch.setattr(play, "load_simulator", watched(play.load_simulator))
    monkeypatch.setattr(play, "make_engine", watched(play.make_engine))
    monkeypatch.setattr(engine_module, "stage", watched(engine_module.stage))
    monkeypatch.setattr(weights, "read_tensors", watched(weights.read_tensors))
    checkpoints = tmp_path / "checkpoints"
    newest = NewestSimulator(checkpoints)
    desktop = SimulatorDesktop(newest, None)
    desktop.reset(0)

    def follow() -> None:
        thread = threading.Thread(target=newest.look)
        thread.start()
        thread.join()
        desktop.step([PointerMoved(100, 100)])

    publish(checkpoints / "1", micro_config, 1)
    follow()
    assert desktop.label == "simulator: step 1, still learning"
    publish(checkpoints / "2", micro_config, 2)
    follow()
    assert desktop.label == "simulator: step 2, still learning"
    said = ["load_simulator", "read_tensors"]
    assert elsewhere == [*said, "make_engine", *said, "stage"]


def test_weights_that_are_no_numbers_are_not_played(micro_config: Path, tmp_path: Path) -> None:
    newest = NewestSimulator(tmp_path)
    desktop = SimulatorDesktop(newest, None)
    publish(tmp_path / "1", micro_config, 1)
    newest.look()
    desktop.reset(0)
    desktop.step([])
    (tmp_path / "2").mkdir()
    spoilt = shaken_simulator(micro_config, 2)
    spoil_nan(spoilt)
    save_simulator(tmp_path / "2", spoilt, {}, 2)
    newest.look()
    desktop.step([])
    assert desktop.label.startswith("simulator: step 1, still learning; step 2 refused: first_hid")


def test_what_arrived_twice_before_it_was_taken_is_the_newest(
    micro_config: Path, tmp_path: Path
) -> None:
    newest = NewestSimulator(tmp_path)
    for step in (1, 2):
        publish(tmp_path / str(step), micro_config, step)
        newest.look()
    desktop = SimulatorDesktop(newest, None)
    desktop.reset(0)
    assert desktop.label == "simulator: step 2, still learning"
    fixed = make_engine(shaken_simulator(micro_config, 2), 1)
    for name, tensor in fixed.simulator.state_dict().items():
        assert newest.engine is not None
        assert torch.equal(newest.engine.simulator.state_dict()[name], tensor), name


def test_the_desktop_begins_again_when_its_state_breaks(micro_config: Path) -> None:
    simulator = shaken_simulator(micro_config, 1)
    desktop = SimulatorDesktop(None, weights.PlayableSimulator(simulator, 1))
    shown = desktop.reset(0)
    dict(simulator.named_parameters())["rnn.exit.weight"].fill_(1e38)
    frame = desktop.step([PointerMoved(100_000, -5)])
    np.testing.assert_array_equal(frame, shown)
    assert "1 odd inputs put right; began again: the window's session" in desktop.label
