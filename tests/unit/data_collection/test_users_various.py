"""Users with the habits of many people, and what can be told of what they did."""

from __future__ import annotations

import pytest

from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.events import Button, ButtonChanged, Event, PointerMoved
from data_collection.recording.happenings import HAPPENINGS, Watched
from data_collection.users import USERS, TaskUser, User, make_user
from data_collection.users.tasks import EVERY_KIND, KINDS

VARIOUS = [name for name in USERS if name.startswith("various")]


def play(user: User, seed: int, ticks: int) -> list[list[Event]]:
    desktop = ScriptedDesktop()
    desktop.reset(seed)
    user.reset(seed, desktop.width_px, desktop.height_px)
    events = []
    for _ in range(ticks):
        events.append(user.act(desktop.state()))
        desktop.step(events[-1])
    return events


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_whatever_their_habits_users_do_their_tasks(kind: str) -> None:
    for seed in range(3):
        user = TaskUser([kind], various=True)
        play(user, seed, 450)
        assert user.outcomes
        assert all(outcome.reached for outcome in user.outcomes), user.outcomes


@pytest.mark.parametrize("name", VARIOUS)
def test_the_same_seed_is_the_same_person_and_keeps_to_the_screen(name: str) -> None:
    first, again = play(make_user(name), 5, 120), play(make_user(name), 5, 120)
    assert first == again
    for event in [event for group in first for event in group]:
        if isinstance(event, PointerMoved | ButtonChanged):
            assert 0 <= event.x_px < 512
            assert 0 <= event.y_px < 384


def test_people_differ_in_their_steps_and_clicks() -> None:
    longest, quick = [], []
    for seed in range(12):
        at, steps, clicks = None, [0], 0
        for group in play(make_user("various:opener"), seed, 200):
            presses = [e.down for e in group if isinstance(e, ButtonChanged)]
            clicks += presses == [True, False]
            for event in group:
                if isinstance(event, PointerMoved | ButtonChanged):
                    now = (event.x_px, event.y_px)
                    steps.append(max(abs(now[0] - at[0]), abs(now[1] - at[1])) if at else 0)
                    at = now
        longest.append(max(steps))
        quick.append(clicks > 0)
    assert min(longest) < 60, "nobody moves smoothly"
    assert max(longest) > 200, "nobody jumps"
    assert any(quick)
    assert not all(quick)


def test_users_without_habits_act_as_ever() -> None:
    """Traces are named by user and seed, so what a user does under a seed must not change."""
    assert len(KINDS) == 14
    presses = [
        (tick, event.button, event.x_px, event.y_px)
        for tick, group in enumerate(play(make_user("opener"), 11, 60))
        for event in group
        if isinstance(event, ButtonChanged) and event.down
    ]
    assert presses == [
        (11, Button.LEFT, 62, 178),
        (14, Button.LEFT, 62, 178),
        (42, Button.LEFT, 307, 40),
    ]


@pytest.mark.parametrize(
    ("name", "happening"),
    [
        ("task:launch_browser", "browser_launch"),
        ("task:create_folder", "folder_creation"),
        ("task:type_in_terminal", "folder_creation"),
    ],
)
def test_what_happens_is_seen(name: str, happening: str) -> None:
    seen = []
    for seed in range(4):
        watched = Watched(make_user(name), [happening])
        play(watched, seed, 300)
        seen.append(watched.has_seen())
    assert any(seen)


@pytest.mark.parametrize("name", ["various:windows", "task:say_in_terminal", "opener"])
def test_what_does_not_happen_is_not_seen(name: str) -> None:
    watched = Watched(make_user(name), list(HAPPENINGS))
    assert play(watched, 2, 300) == play(make_user(name), 2, 300)
    assert not watched.has_seen()
