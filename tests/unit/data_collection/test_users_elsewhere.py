"""Task users before a desktop that answers late and tells less, as a real one does."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest

from data_collection.desktops.scripted import ScriptedConfig, ScriptedDesktop
from data_collection.events import Event
from data_collection.users import TaskUser
from data_collection.users.task import GIVE_UP_TICKS
from data_collection.users.view import View

BUTTONS = ("close_button", "minimise_button", "maximise_button", "resize_corner")
LEADING = "New"


class Elsewhere:
    """A scripted desktop whose state comes ``lag`` ticks late and lacks what may be lacking."""

    def __init__(self, lag: int = 0, buttons: bool = True, submenu: bool = False) -> None:
        self._desktop = ScriptedDesktop(ScriptedConfig(launch_frames=60))
        self._buttons = buttons
        self._submenu = submenu
        self._behind = False
        self._late: deque[dict[str, Any]] = deque(maxlen=lag + 1)

    def reset(self, seed: int) -> None:
        self._desktop.reset(seed)
        self._late.append(self._told())

    def step(self, events: Sequence[Event]) -> None:
        if self._submenu:
            events = self._through_submenu(events)
        self._desktop.step(events)
        self._late.append(self._told())

    def state(self) -> dict[str, Any]:
        return self._late[0]

    def _told(self) -> dict[str, Any]:
        state = copy.deepcopy(self._desktop.state())
        for key in ("taskbar", "free_slots"):
            del state[key]
        state["launching"] = state["dragging"] = None
        for window in state["windows"]:
            del window["maximised"]
            window["app"] = window["app"].lower()
            if not self._buttons:
                window.update(dict.fromkeys(BUTTONS))
        for name, keys in (("browser", ("editing", "typed")), ("terminal", ("typed",))):
            for key in keys:
                (state[name] or {}).pop(key, None)
        menu = state["menu"]
        if self._submenu and menu is not None and not self._behind:
            first = menu["items"][0]
            if first["label"] == "Create folder":
                first["label"], first["leads_to"] = LEADING, ["Create folder", "Empty file"]
        return state

    def _through_submenu(self, events: Sequence[Event]) -> list[Event]:
        """Let the first press on the leading item open what is behind it, and no more."""
        told = self._told()["menu"]
        leads = told is not None and told["items"][0]["label"] == LEADING
        presses = [event for event in events if getattr(event, "down", None) is not None]
        if leads and presses:
            self._behind = True
            return [event for event in events if event not in presses]
        if told is None:
            self._behind = False
        return list(events)


def sit(user: TaskUser, desktop: Elsewhere, seed: int, ticks: int) -> None:
    desktop.reset(seed)
    user.reset(seed, 512, 384)
    for _ in range(ticks):
        desktop.step(user.act(desktop.state()))


@pytest.mark.parametrize("buttons", [True, False])
@pytest.mark.parametrize("lag", [0, 3])
def test_every_goal_is_reached_there_too(lag: int, buttons: bool) -> None:
    user = TaskUser()
    sit(user, Elsewhere(lag, buttons), 2, 1500)
    assert len(user.outcomes) > 15
    assert [outcome for outcome in user.outcomes if not outcome.reached] == []


@pytest.mark.parametrize("kind", ["create_folder", "browse", "type_in_terminal", "launch_browser"])
def test_long_tasks_bear_a_lag(kind: str) -> None:
    user = TaskUser([kind])
    sit(user, Elsewhere(lag=5), 1, 700)
    assert user.outcomes
    assert [outcome for outcome in user.outcomes if not outcome.reached] == []


def test_without_buttons_nothing_is_minimised_or_resized() -> None:
    for kind in ("minimise_window", "resize_window"):
        user = TaskUser([kind])
        sit(user, Elsewhere(buttons=False), 1, 300)
        verbs = {outcome.goal.split()[0] for outcome in user.outcomes}
        assert verbs == {"open", "close"}


def test_a_folder_is_created_through_a_menu_behind_the_menu() -> None:
    user = TaskUser(["create_folder"])
    sit(user, Elsewhere(submenu=True), 3, 400)
    made = [outcome for outcome in user.outcomes if outcome.goal.startswith("create")]
    assert made
    assert all(outcome.reached for outcome in made)


def test_a_task_on_a_dead_desktop_is_given_up_and_says_so() -> None:
    desktop, user = ScriptedDesktop(), TaskUser(["open_home"])
    state = desktop.state()
    user.reset(0, 512, 384)
    for tick in range(GIVE_UP_TICKS + 100):
        user.act({**state, "tick": tick})
    assert [(outcome.goal, outcome.reached) for outcome in user.outcomes] == [("open Home", False)]
    assert user.outcomes[0].ticks > GIVE_UP_TICKS


def test_a_desktop_that_is_coming_up_is_waited_for() -> None:
    desktop, user = ScriptedDesktop(), TaskUser()
    state = desktop.state()
    user.reset(0, 512, 384)
    bare = {**state, "icons": [], "windows": []}
    for tick in range(100):
        user.act({**bare, "tick": tick})
    assert (user.goal, user.outcomes, user.reached(bare)) == ("look around", [], False)
    for _ in range(200):
        desktop.step(user.act(desktop.state()))
    assert user.outcomes
    assert all(outcome.reached for outcome in user.outcomes)


def test_the_least_that_a_state_may_tell() -> None:
    view = View.from_state(
        {
            "screen": {"width_px": 100, "height_px": 80, "work_area": [0, 0, 100, 80]},
            "cursor": {"x_px": 3, "y_px": 4},
            "windows": [{"id": 7, "rect": [0, 0, 100, 79]}],
        }
    )
    window = view.windows[0]
    assert (window.app, window.title, window.grip, window.maximised) == ("other", "", None, True)
    assert (view.pointer, view.icons, view.folders, view.menu_items) == ((3, 4), {}, (), {})
    assert view.terminal is view.browser is view.naming is view.menu is None
