"""The keys of scripted users: as a keyboard gives them, and none left down."""

from __future__ import annotations

import string

import numpy as np
import pytest

from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.events import Event, KeyChanged, TextTyped, WheelTurned
from data_collection.users import USERS, TaskUser, make_user
from data_collection.users.hand import Hand
from data_collection.users.keyboard import ARROWS, LEFT_SHIFT, NoSuchKey, key_of


def played(name: str, seed: int, ticks: int) -> list[Event]:
    user, desktop = make_user(name), ScriptedDesktop()
    desktop.reset(seed)
    user.reset(seed, 512, 384)
    events: list[Event] = []
    for _ in range(ticks):
        group = user.act(desktop.state())
        desktop.step(group)
        events += group
    return events


def test_every_printable_character_has_a_key_of_its_own() -> None:
    keys = [key_of(character) for character in string.printable[:95]]
    assert len({(key.scancode, shifted) for key, shifted in keys}) == 95
    assert key_of("a")[0].scancode == 4
    assert key_of("Z") == (key_of("Z")[0], True)
    assert key_of("/")[0].scancode == 56
    with pytest.raises(NoSuchKey):
        key_of("é")


def test_typing_gives_keys_and_text_with_shift_where_needed() -> None:
    hand = Hand(np.random.Generator(np.random.Philox(0)), 512, 384)
    events = [event for group in hand.type_text("aB:") for event in group]
    assert "".join(event.text for event in events if isinstance(event, TextTyped)) == "aB:"
    shift = False
    for event in events:
        if isinstance(event, KeyChanged) and event.scancode == LEFT_SHIFT.scancode:
            shift = event.down
        if isinstance(event, TextTyped):
            assert shift == (event.text in "B:")
    assert not shift


def test_a_burst_holds_keys_over_ticks_and_lets_all_go() -> None:
    hand = Hand(np.random.Generator(np.random.Philox(4)), 512, 384)
    longest = together = 0
    for _ in range(30):
        down: dict[int, int] = {}
        for tick, group in enumerate(hand.key_burst(ARROWS)):
            for event in group:
                if isinstance(event, KeyChanged) and event.down:
                    assert event.scancode not in down
                    down[event.scancode] = tick
                elif isinstance(event, KeyChanged):
                    longest = max(longest, tick - down.pop(event.scancode))
            together = max(together, len(down))
        assert not down
    assert longest >= 5
    assert together >= 3


@pytest.mark.parametrize("name", ["explorer", "task"])
def test_keys_go_down_and_up_in_turn(name: str) -> None:
    down: set[int] = set()
    keys = [event for event in played(name, 3, 2500) if isinstance(event, KeyChanged)]
    assert len(keys) > 50
    for event in keys:
        assert event.down == (event.scancode not in down)
        down.symmetric_difference_update({event.scancode})
    assert len(down) <= 2, "what the last tick cut off"


def test_an_explorer_types_and_turns_the_wheel() -> None:
    events = played("explorer", 1, 2500)
    assert any(isinstance(event, TextTyped) for event in events)
    assert {event.dy for event in events if isinstance(event, WheelTurned)} == {-1, 1}


@pytest.mark.parametrize("name", list(USERS))
def test_every_user_by_name_does_something_and_repeats_it(name: str) -> None:
    first = played(name, 5, 150)
    assert len(first) > 20
    assert played(name, 5, 150) == first


def test_a_user_of_one_kind_does_that_kind() -> None:
    user = make_user("task:browse")
    assert isinstance(user, TaskUser)
    assert user.kinds == ("browse",)
