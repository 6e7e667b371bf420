from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neuralos.data.latents import encode_frames
from neuralos.keyed import torch_generator
from neuralos.runtime.capture import DevicePlan
from neuralos.runtime.engine import BadPassenger, Engine, Frames, make_engine
from neuralos.runtime.sessions import NoFreeSlot, NoSuchSession, Passenger, Session
from tests.unit.neuralos.engines import (
    join,
    play_on,
    shaken_simulator,
    some_controls,
    some_known,
    state_of,
)
from tests.unit.neuralos.micro_paper import micro_simulator

SLOTS = 4
FRAMES = 8
SWAP_AT = 5

Crowd = Callable[[Engine, int], list[Session]]

APART = DevicePlan(torch.device("cpu"), apart=True)
TOGETHER = DevicePlan(torch.device("cpu"))
"""Computed as on a GPU, though not as fast."""


def watch(
    config: Path, crowd: Crowd, slots: int = SLOTS, slot: int = 0, plan: DevicePlan = APART
) -> tuple[list[Frames], dict[str, torch.Tensor]]:
    """Play one session in a crowd; weights change at ``SWAP_AT``, with another autoencoder."""
    engine = make_engine(shaken_simulator(config, 1), slots, plan)
    fillers = [join(engine, f"filler {i}") for i in range(slot)]
    session = join(engine, "watched", seed=5)
    assert session.slot == slot
    for filler in fillers:
        engine.leave(filler)
    frames = []
    for t in range(FRAMES):
        if t == SWAP_AT:
            engine.swap(engine.stage(shaken_simulator(config, 2, code_seed=9)))
        others = crowd(engine, t)
        controls = {one: some_controls(one.name, one.drawn) for one in (*others, session)}
        frames.append(engine.step(controls).frames[session].copy())
    return frames, state_of(engine, session)


def nobody(engine: Engine, t: int) -> list[Session]:
    return []


def coming_and_going(seed: int) -> Crowd:
    """Others who join, rest, leave, and at times break."""
    rng = random.Random(seed)
    others: list[Session] = []

    def crowd(engine: Engine, t: int) -> list[Session]:
        others[:] = [one for one in others if not one.failure]
        if others and rng.random() < 0.3:
            engine.leave(others.pop(rng.randrange(len(others))))
        while len(engine.sessions) < SLOTS and rng.random() < 0.7:
            name = f"other {rng.random()}"
            passenger = engine.board(name, 3, some_known(name, engine.simulator.screen))
            if rng.random() < 0.2:
                passenger = broken(passenger)
            others.append(engine.join(passenger))
        return [one for one in others if rng.random() < 0.7]

    return crowd


def broken(passenger: Passenger) -> Passenger:
    state = passenger.state.map(lambda tensor: tensor * torch.nan)
    return replace(passenger, state=replace(state, action=passenger.state.action))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("plan", [APART, TOGETHER])
def test_a_session_in_a_crowd_is_the_session_alone(
    micro_config: Path, plan: DevicePlan, seed: int
) -> None:
    slot = seed + 1
    alone, alone_state = watch(micro_config, nobody, slot=slot, plan=plan)
    crowded, state = watch(micro_config, coming_and_going(seed), slot=slot, plan=plan)
    np.testing.assert_array_equal(crowded, alone)
    for name, tensor in state.items():
        assert torch.equal(tensor, alone_state[name]), name
    assert len(np.unique(alone)) > 50
    assert all((frame != alone[0]).any() for frame in alone[1:])


@pytest.mark.parametrize("architecture", ["fast", "paper"])
def test_other_architectures_keep_sessions_apart_too(architecture: str, fast_config: Path) -> None:
    shown = []
    for others in (0, 2):
        simulator = (
            micro_simulator() if architecture == "paper" else shaken_simulator(fast_config, 1)
        )
        engine = make_engine(simulator, 3, TOGETHER)
        watched = join(engine, "watched")
        crowd = [join(engine, f"other {n}") for n in range(others)]
        for t in range(2):
            drawn = engine.step({one: some_controls(one.name, t) for one in (watched, *crowd)})
            assert not drawn.failed
        engine.swap(engine.stage(copy.deepcopy(simulator)))
        shown.append((play_on(engine, watched, 2), state_of(engine, watched)))
    np.testing.assert_array_equal(shown[0][0], shown[1][0])
    for name, tensor in shown[0][1].items():
        assert torch.equal(tensor, shown[1][1][name]), name


def test_apart_neither_slot_nor_their_number_matter(micro_config: Path) -> None:
    alone, _ = watch(micro_config, nobody, slots=1)
    crowded, _ = watch(micro_config, coming_and_going(7), slot=2)
    np.testing.assert_array_equal(crowded, alone)


@pytest.mark.parametrize("slot", range(SLOTS))
def test_together_they_hardly_matter(micro_config: Path, slot: int) -> None:
    states = []
    for slots in (1, SLOTS):
        engine = make_engine(shaken_simulator(micro_config, 1, strength=0.05), slots, TOGETHER)
        for index in range(slot if slots > 1 else 0):
            join(engine, f"filler {index}")
        session = join(engine, "someone", seed=5)
        play_on(engine, session, 4)
        states.append(state_of(engine, session))
    for name, one in states[0].items():
        scale = max(1.0, float(one.abs().max()))
        assert float((one - states[1][name]).abs().max()) <= 1e-5 * scale, name


def test_one_session_is_the_plain_loop(micro_config: Path) -> None:
    """Seventeen known frames, of which fifteen are encoded at once, then five drawn ones."""
    simulator = shaken_simulator(micro_config, 1)
    known = some_known("recorded", simulator.screen, count=17)
    engine = make_engine(simulator, 1)
    session = engine.join(engine.board("recorded", 3, known))
    drawn = play_on(engine, session, 5)
    said = [some_controls("recorded", t) for t in range(5)]
    actions = torch.from_numpy(np.stack([*known.actions, *(one.action for one in said)]))
    keys = torch.from_numpy(np.stack([*known.keys, *(one.keys for one in said)]))
    with torch.no_grad():
        first = encode_frames(simulator.autoencoder, known.frames[:1])
        state = simulator.initial_state(first, actions[:1])
        for t in range(1, 17):
            latent = encode_frames(simulator.autoencoder, known.frames[t : t + 1])
            state = simulator.take(state, latent, actions[t : t + 1], keys[t : t + 1])
        for t in range(17, 22):
            generator = torch_generator(3, "draw", t - 17)
            noise = torch.randn(1, *simulator.latent_shape, generator=generator)
            latent, state = simulator.step(state, actions[t : t + 1], keys[t : t + 1], noise)
            frame = simulator.autoencoder.decode(latent)[0].numpy()
            np.testing.assert_array_equal(drawn[t - 17], frame)


def test_a_freed_slot_keeps_nothing(micro_config: Path) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 2)
    first, second = join(engine, "first"), join(engine, "second")
    shown = engine.step({one: some_controls(one.name, 0) for one in (first, second)})
    kept = shown.frames[first].copy()
    engine.leave(first)
    np.testing.assert_array_equal(shown.frames[first], kept)
    buffers = engine._buffers
    inputs = (buffers.action_BA, buffers.keys_BK, buffers.stepping_B, buffers.noise_BCHW)
    for tensor in (*buffers.state.tensors(), *inputs, *engine._host):
        assert not tensor[first.slot].any()
        assert tensor[second.slot].any()
    with pytest.raises(NoSuchSession, match="first: it has left"):
        engine.step({first: some_controls("first", 1)})
    assert join(engine, "third").slot == first.slot


def test_a_broken_session_is_named_and_touches_nobody(micro_config: Path) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 2)
    well = join(engine, "well")
    passenger = engine.board("unwell", 0, some_known("unwell", engine.simulator.screen))
    unwell = engine.join(broken(passenger))
    drawn = engine.step({one: some_controls(one.name, 0) for one in (unwell, well)})
    assert drawn.failed == (unwell,)
    assert list(drawn.frames) == [well]
    assert unwell.failure.startswith("unwell: its state is no longer finite after frame 1: latent")
    assert engine.counters["sessions_failed"] == 1
    assert not any(tensor.isnan().any() for tensor in engine._buffers.state.tensors())
    with pytest.raises(NoSuchSession, match="no longer finite"):
        engine.step({unwell: some_controls("unwell", 1)})
    assert engine.sessions == [well]


def test_a_parked_session_goes_on_elsewhere(micro_config: Path) -> None:
    simulators = [shaken_simulator(micro_config, 1) for _ in range(2)]
    stays, moves = (make_engine(simulator, 3) for simulator in simulators)
    staying, moving = join(stays, "someone", seed=4), join(moves, "someone", seed=4)
    np.testing.assert_array_equal(play_on(stays, staying, 3), play_on(moves, moving, 3))
    parked = moves.park(moving)
    assert not any(tensor.any() for tensor in moves._buffers.state.tensors())
    moved = stays.join(parked)
    np.testing.assert_array_equal(play_on(stays, staying, 3), play_on(stays, moved, 3))


def test_sessions_of_one_name_and_seed_are_the_same(micro_config: Path) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 3)
    same, twin, unlike = (join(engine, "someone", seed=seed) for seed in (4, 4, 5))
    shown = engine.step({one: some_controls("someone", 0) for one in (same, twin, unlike)}).frames
    np.testing.assert_array_equal(shown[same], shown[twin])
    assert (shown[same] != shown[unlike]).any()


def test_a_passenger_with_a_place_that_is_none_is_refused(micro_config: Path) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 1)
    passenger = engine.board("odd", 0, some_known("odd", engine.simulator.screen))
    state = replace(passenger.state, action=passenger.state.action * torch.nan)
    with pytest.raises(BadPassenger, match="odd: the action of its last frame"):
        engine.join(replace(passenger, state=state))
    assert engine.sessions == []


def test_a_full_engine_refuses(micro_config: Path) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 1)
    join(engine, "someone")
    with pytest.raises(NoFreeSlot, match="'late' has to wait"):
        join(engine, "late")


def test_a_session_of_which_nothing_is_known_starts_as_the_simulator_says(
    micro_config: Path,
) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 1)
    said = some_controls("someone", 0)
    fresh = engine.board_fresh("someone", 0, said)
    expected = engine.simulator.start_state(torch.from_numpy(said.action)[None])
    for one, other in zip(fresh.state.tensors(), expected.tensors(), strict=True):
        assert torch.equal(one, other)
    assert play_on(engine, engine.join(fresh), 2)
