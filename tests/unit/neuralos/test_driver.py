from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from neuralos.runtime.driver import INPUTS_REFUSED, MOST_PENDING, Client, Driver, DriverClosed
from neuralos.runtime.encoding import FRAMES_DROPPED, Encoded, Encoder, EncodingConfig
from neuralos.runtime.engine import Drawn, Engine, make_engine
from neuralos.runtime.inputs import NO_CONTROLS
from neuralos.runtime.sessions import NoFreeSlot, NoSuchSession, Passenger
from tests.unit.neuralos.engines import (
    join,
    play_on,
    shaken_simulator,
    some_controls,
    some_known,
)

WAIT_S = 60


def passenger(engine: Engine, name: str) -> Passenger:
    return engine.board(name, 0, some_known(name, engine.simulator.screen))


@contextmanager
def driving(engine: Engine) -> Iterator[Driver]:
    encoder = Encoder(EncodingConfig("png"))
    driver = Driver(engine, encoder)
    driver.start()
    yield driver
    driver.close()
    encoder.close()


def pixels(encoded: Encoded) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded.data)))


def step(driver: Driver, client: Client, t: int) -> Encoded:
    future = client.frame()
    assert driver.submit(client, some_controls(client.session.name, t))
    return future.result(WAIT_S)


def test_clients_get_the_frames_of_their_sessions(micro_config: Path) -> None:
    alone = make_engine(shaken_simulator(micro_config, 1), 1)
    expected = play_on(alone, join(alone, "one"), 3)
    engine = make_engine(shaken_simulator(micro_config, 1), 2)
    with driving(engine) as driver:
        one = driver.connect(passenger(engine, "one")).result(WAIT_S)
        other = driver.connect(passenger(engine, "other")).result(WAIT_S)
        for t in range(3):
            driver.submit(other, some_controls("other", t))
            encoded = step(driver, one, t)
            assert encoded.index == t + 1
            np.testing.assert_array_equal(pixels(encoded), expected[t])
        refused = driver.connect(passenger(engine, "late"))
        with pytest.raises(NoFreeSlot):
            refused.result(WAIT_S)
        driver.disconnect(other).result(WAIT_S)
        driver.connect(passenger(engine, "late")).result(WAIT_S)
        with pytest.raises(NoSuchSession, match="other: it has left"):
            other.frame().result(WAIT_S)


def test_a_slow_client_misses_frames_and_keeps_nobody_waiting(micro_config: Path) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 2)
    with driving(engine) as driver:
        slow = driver.connect(passenger(engine, "slow")).result(WAIT_S)
        quick = driver.connect(passenger(engine, "quick")).result(WAIT_S)
        for t in range(5):
            assert driver.submit(slow, some_controls("slow", t))
            step(driver, quick, t)
        # Both inputs of a moment may fall into two steps: one more shows that all are drawn.
        while slow.session.drawn < 5:
            step(driver, quick, 5)
        assert slow.frame().result(WAIT_S).index == 5
        assert slow.counters[FRAMES_DROPPED] == 4
        assert not quick.counters[FRAMES_DROPPED]


def test_who_runs_ahead_is_refused(micro_config: Path) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 1)
    with driving(engine) as driver:
        client = driver.connect(passenger(engine, "hasty")).result(WAIT_S)
        with driver._work:
            accepted = [driver.submit(client, NO_CONTROLS) for _ in range(MOST_PENDING + 3)]
        assert accepted == [True] * MOST_PENDING + [False] * 3
        assert client.counters[INPUTS_REFUSED] == 3


def test_weights_change_between_two_frames(micro_config: Path) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 1)
    alone = make_engine(shaken_simulator(micro_config, 1), 1)
    session = join(alone, "one")
    expected = play_on(alone, session, 1)
    alone.swap(alone.stage(shaken_simulator(micro_config, 2)))
    expected += play_on(alone, session, 1)
    with driving(engine) as driver:
        client = driver.connect(passenger(engine, "one")).result(WAIT_S)
        frames = [pixels(step(driver, client, 0))]
        driver.swap(engine.stage(shaken_simulator(micro_config, 2))).result(WAIT_S)
        frames.append(pixels(step(driver, client, 1)))
    np.testing.assert_array_equal(frames, expected)


def test_a_session_that_breaks_is_told_and_the_rest_goes_on(micro_config: Path) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 2)
    good = passenger(engine, "well")
    state = good.state.map(lambda tensor: tensor * torch.nan)
    bad = replace(good, name="unwell", state=replace(state, action=good.state.action))
    with driving(engine) as driver:
        well, unwell = (driver.connect(one).result(WAIT_S) for one in (good, bad))
        with pytest.raises(NoSuchSession, match="unwell: its state is no longer finite"):
            step(driver, unwell, 0)
        assert step(driver, well, 0).index == 1


def test_an_event_loop_is_not_held_up(micro_config: Path) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 2)

    async def serve(driver: Driver, name: str) -> list[int]:
        client = await asyncio.wrap_future(driver.connect(passenger(engine, name)))
        seen = []
        for t in range(3):
            wanted = asyncio.wrap_future(client.frame())
            driver.submit(client, some_controls(name, t))
            seen.append((await wanted).index)
        return seen

    async def serve_all(driver: Driver) -> list[list[int]]:
        return await asyncio.gather(*(serve(driver, name) for name in ("one", "other")))

    with driving(engine) as driver:
        assert asyncio.run(serve_all(driver)) == [[1, 2, 3], [1, 2, 3]]


def test_the_end_fails_what_is_awaited(micro_config: Path) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 1)
    with driving(engine) as driver:
        client = driver.connect(passenger(engine, "one")).result(WAIT_S)
        waiting = client.frame()
    with pytest.raises(DriverClosed, match="was closed"):
        waiting.result(WAIT_S)
    with pytest.raises(DriverClosed):
        driver.disconnect(client).result(WAIT_S)


def test_an_engine_that_fails_says_so(micro_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 1)

    def fail(controls: object) -> Drawn:
        raise RuntimeError("the device is gone")

    with driving(engine) as driver:
        client = driver.connect(passenger(engine, "one")).result(WAIT_S)
        monkeypatch.setattr(engine, "step", fail)
        with pytest.raises(DriverClosed, match="RuntimeError: the device is gone"):
            step(driver, client, 0)
