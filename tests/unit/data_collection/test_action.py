from __future__ import annotations

import pytest

from data_collection.action import SUCCESSION_PERIODS, Action, fold
from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    PointerMoved,
    WheelTurned,
)


def press(x_px: int = 40, y_px: int = 50, button: Button = Button.LEFT) -> list[Event]:
    return [
        ButtonChanged(button, True, x_px, y_px),
        ButtonChanged(button, False, x_px, y_px),
    ]


def clicks(groups: list[list[Event]]) -> list[int]:
    """Return the count of each period."""
    found, action = [], Action()
    for group in groups:
        action = fold(group, action)
        found.append(action.clicks)
    return found


def test_several_events_of_a_period_become_one_action() -> None:
    events = [
        PointerMoved(1, 2),
        ButtonChanged(Button.RIGHT, True, 3, 4),
        PointerMoved(5, 6),
        WheelTurned(0, 2),
        WheelTurned(0, -1),
        KeyChanged(4, "a", True),
        KeyChanged(4, "a", False),
        KeyChanged(5, "b", True),
    ]
    action = fold(events, Action())
    assert (action.x_px, action.y_px) == (5, 6)
    assert action.held == action.clicked == (False, False, True)
    assert action.wheel_dy == 1
    assert action.keys == {4, 5}
    assert action.keys_held == {5}
    still = fold([], action)
    assert still.held == (False, False, True)
    assert still.clicked == (False, False, False)
    assert still.keys == {5}
    assert (still.x_px, still.wheel_dy) == (5, 0)


def test_a_double_click_counts_two() -> None:
    assert clicks([press(), [], press(), []]) == [1, 0, 2, 0]
    assert clicks([press() + press()]) == [2]


@pytest.mark.parametrize(("pause", "count"), [(SUCCESSION_PERIODS, 2), (SUCCESSION_PERIODS + 1, 1)])
def test_a_late_press_begins_anew(pause: int, count: int) -> None:
    assert clicks([press(), *[[]] * (pause - 1), press()])[-1] == count


def test_a_press_elsewhere_or_with_another_button_does_not_count_together() -> None:
    assert clicks([press(40), press(60)]) == [1, 1]
    assert clicks([press(), press(button=Button.RIGHT)]) == [1, 0]
