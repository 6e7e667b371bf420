"""Scripted users: they reach their goals, stay on the screen, and depend on the seed only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from data_collection.desktops.scripted import ScriptedConfig, ScriptedDesktop
from data_collection.events import Button, ButtonChanged, Event, PointerMoved
from data_collection.users import Explorer, TaskUser, UnknownUser, User, make_user
from data_collection.users.task import UnknownKind
from data_collection.users.tasks import KINDS
from data_collection.users.view import UnreadableDesktop

GOAL_WORDS = {
    "launch_browser": "launch Browser",
    "create_folder": "create a folder named",
    "open_folder": "open folder",
    "browse": "browse: ",
}


def play(user: User, desktop: ScriptedDesktop, seed: int, ticks: int) -> list[list[Event]]:
    desktop.reset(seed)
    user.reset(seed, desktop.width_px, desktop.height_px)
    events = []
    for _ in range(ticks):
        events.append(user.act(desktop.state()))
        desktop.step(events[-1])
    return events


def points(events: Iterable[list[Event]]) -> list[tuple[int, int]]:
    return [
        (event.x_px, event.y_px)
        for group in events
        for event in group
        if isinstance(event, PointerMoved | ButtonChanged)
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_a_task_user_reaches_its_goal(kind: str, seed: int) -> None:
    user, desktop = TaskUser([kind]), ScriptedDesktop()
    play(user, desktop, seed, 500)
    word = GOAL_WORDS.get(kind, kind.split("_")[0])
    mine = [outcome for outcome in user.outcomes if outcome.goal.startswith(word)]
    assert mine
    assert all(outcome.reached for outcome in user.outcomes)


def test_reached_turns_true_when_the_task_is_done() -> None:
    user, desktop = TaskUser(["launch_browser"]), ScriptedDesktop()
    desktop.reset(0)
    user.reset(0, 512, 384)
    seen: list[bool] = []
    while not user.outcomes:
        desktop.step(user.act(desktop.state()))
        seen.append(user.reached(desktop.state()))
        is_open = any(w["title"] == "Browser" for w in desktop.state()["windows"])
        assert seen[-1] == is_open
    assert user.goal == "launch Browser"
    assert seen[0] is False
    assert seen[-1] is True


@pytest.mark.parametrize("seed", range(3))
def test_a_long_sitting_does_every_kind_of_task_and_keeps_the_screen_tidy(seed: int) -> None:
    user, desktop = TaskUser(), ScriptedDesktop()
    desktop.reset(seed)
    user.reset(seed, 512, 384)
    most = 0
    for _ in range(1500):
        desktop.step(user.act(desktop.state()))
        shown = [w for w in desktop.state()["windows"] if not w["minimised"]]
        most = max(most, len(shown))
    verbs = {outcome.goal.split()[0].strip(":") for outcome in user.outcomes}
    assert verbs >= {"open", "drag", "close", "resize", "minimise", "type"}
    assert all(outcome.reached for outcome in user.outcomes)
    assert most <= 3


@pytest.mark.parametrize("size", [(128, 96), (320, 256), (1024, 768)])
def test_a_task_user_works_on_other_screens(size: tuple[int, int]) -> None:
    user, desktop = TaskUser(), ScriptedDesktop(ScriptedConfig(*size))
    play(user, desktop, 1, 1000)
    assert len(user.outcomes) > 10
    assert all(outcome.reached for outcome in user.outcomes)


def test_a_task_user_moves_smoothly() -> None:
    events = play(TaskUser(), ScriptedDesktop(), 2, 600)
    path = np.array(points(events))
    steps_px = np.abs(np.diff(path, axis=0)).max(axis=1)
    assert steps_px.max() < 110, "a fifth of the screen in one tick is a jump"


def test_a_task_user_refuses_a_desktop_without_state() -> None:
    user = TaskUser()
    user.reset(0, 512, 384)
    with pytest.raises(UnreadableDesktop):
        user.act({})


def test_an_unknown_kind_of_task_is_refused() -> None:
    with pytest.raises(UnknownKind, match="did you mean 'open_home'"):
        TaskUser(["open_homes"])


@pytest.mark.parametrize("size", [(512, 384), (300, 200)])
def test_an_explorer_stays_on_the_screen_and_tries_everything(size: tuple[int, int]) -> None:
    desktop = ScriptedDesktop(ScriptedConfig(*size))
    events = play(Explorer(), desktop, 3, 3000)
    path = np.array(points(events))
    assert path.min() >= 0
    assert (path < np.array(size)).all()
    assert (path.max(axis=0) > 0.9 * np.array(size)).all()
    pressed = {
        e.button for group in events for e in group if isinstance(e, ButtonChanged) and e.down
    }
    assert pressed == {Button.LEFT, Button.RIGHT}
    assert any(not group for group in events), "it rests now and then"


def test_an_explorer_needs_no_state() -> None:
    user = Explorer()
    user.reset(0, 512, 384)
    assert any(user.act({}) for _ in range(50))


@pytest.mark.parametrize("name", ["explorer", "task"])
def test_every_press_is_released_before_the_next(name: str) -> None:
    events = play(make_user(name), ScriptedDesktop(), 4, 1500)
    downs = [e.down for group in events for e in group if isinstance(e, ButtonChanged)]
    assert len(downs) > 20
    assert downs == [index % 2 == 0 for index in range(len(downs))]


@pytest.mark.parametrize("name", ["explorer", "task"])
def test_the_seed_decides_everything(name: str) -> None:
    def events(seed: int) -> Any:
        np.random.seed(seed)  # a global seed must make no difference
        return play(make_user(name), ScriptedDesktop(), 5, 300)

    assert events(1) == events(2)
    assert play(make_user(name), ScriptedDesktop(), 6, 300) != events(1)


def test_the_first_event_tells_where_the_pointer_is() -> None:
    desktop = ScriptedDesktop()
    for name in ("explorer", "task"):
        desktop.reset(8)
        cursor = desktop.state()["cursor"]
        user = make_user(name)
        user.reset(8, 512, 384)
        assert user.act(desktop.state()) == [PointerMoved(cursor["x_px"], cursor["y_px"])]


def test_a_mistyped_user_is_told_the_nearest() -> None:
    with pytest.raises(UnknownUser, match="did you mean 'explorer'"):
        make_user("exporer")
