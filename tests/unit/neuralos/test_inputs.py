from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_collection.action import Action, fold
from data_collection.events import KeyChanged, PointerMoved, WheelTurned
from neuralos.data.encode import ACTION_SIZE, KEY_SLOTS, KEY_TABLE, WHEEL, WHEEL_MOST
from neuralos.runtime.engine import make_engine
from neuralos.runtime.inputs import (
    KEY_UNKNOWN,
    NO_CONTROLS,
    NUMBER_CLAMPED,
    NUMBER_UNREADABLE,
    POSITION_CLAMPED,
    WHEEL_CLAMPED,
    Controls,
    controls_of,
    is_usable,
    usable,
    usable_action,
)
from tests.unit.neuralos.engines import join, shaken_simulator, some_controls

ANY_CONTROLS = st.builds(
    lambda action, keys: Controls(
        np.array(action, dtype=np.float32), np.array(keys, dtype=np.int64)
    ),
    st.lists(st.floats(width=32), min_size=ACTION_SIZE, max_size=ACTION_SIZE),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=KEY_SLOTS, max_size=KEY_SLOTS),
)


def test_what_is_in_order_is_left_alone_and_not_counted() -> None:
    counters = Counter[str]()
    said = some_controls("someone", 0)
    kept = usable(said, NO_CONTROLS.action, counters)
    assert kept.action is said.action
    assert kept.keys is said.keys
    assert not counters.total()


@given(ANY_CONTROLS)
def test_any_numbers_become_an_input(said: Controls) -> None:
    counters = Counter[str]()
    previous = some_controls("someone", 0).action
    kept = usable(said, previous, counters)
    assert is_usable(kept.action)
    assert kept.action.dtype == np.float32
    assert ((kept.keys >= 0) & (kept.keys < KEY_TABLE)).all()
    same = (kept.action == said.action).all() and (kept.keys == said.keys).all()
    assert same == (not counters.total())


def test_each_kind_of_mistake_has_its_counter() -> None:
    counters = Counter[str]()
    action, keys = some_controls("someone", 0).action.copy(), np.zeros(KEY_SLOTS, np.int64)
    previous = np.zeros(ACTION_SIZE, np.float32)
    previous[1] = 77
    action[:4] = 1e9, np.nan, 7, -np.inf
    action[WHEEL] = -40
    keys[:3] = -1, 512, 511
    kept = usable(Controls(action, keys), previous, counters)
    assert kept.action[:4].tolist() == [511, 77, 1, 0]
    assert kept.action[WHEEL] == -WHEEL_MOST
    assert kept.keys[:3].tolist() == [0, 0, 511]
    assert counters == {
        POSITION_CLAMPED: 1,
        NUMBER_UNREADABLE: 1,
        NUMBER_CLAMPED: 2,
        WHEEL_CLAMPED: 1,
        KEY_UNKNOWN: 2,
    }


def test_events_out_of_range_are_put_right_before_they_are_folded_on() -> None:
    counters = Counter[str]()
    events = [
        PointerMoved(10**400, -3),
        WheelTurned(0, 10**30),
        KeyChanged(4, "a", True),
        KeyChanged(4_000, "?", True),
        KeyChanged(-1, "?", True),
    ]
    action = usable_action(fold(events, Action()), counters)
    assert (action.x_px, action.y_px, action.wheel_dy) == (511, 0, WHEEL_MOST)
    assert action.keys == action.keys_held == {4}
    assert counters == {POSITION_CLAMPED: 1, WHEEL_CLAMPED: 1, KEY_UNKNOWN: 2}
    assert is_usable(controls_of(action, Action()).action)


@pytest.mark.parametrize(("action", "keys"), [((3,), (KEY_SLOTS,)), ((ACTION_SIZE,), (0,))])
def test_another_shape_is_a_broken_contract(action: tuple[int], keys: tuple[int]) -> None:
    said = Controls(np.zeros(action, np.float32), np.zeros(keys, np.int64))
    with pytest.raises(ValueError, match="an input of shapes"):
        usable(said, NO_CONTROLS.action, Counter())


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(said=st.lists(ANY_CONTROLS, min_size=1, max_size=3))
def test_no_input_ends_an_engine_or_a_session(micro_config: Path, said: list[Controls]) -> None:
    engine = make_engine(shaken_simulator(micro_config, 1), 1)
    session = join(engine, "someone")
    for controls in said:
        drawn = engine.step({session: controls})
        assert not drawn.failed
    assert session.counters == engine.counters
