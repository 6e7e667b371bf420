"""What happened at a desktop, told from its readable state: for traces that must not show it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from data_collection.events import Event
from data_collection.users.user import User

State = Mapping[str, Any]


def _launches_browser(before: State, now: State) -> bool:
    launching = now.get("launching") or {}
    shown = any(window.get("app") == "Browser" for window in now.get("windows") or ())
    return shown or launching.get("app") == "Browser"


def _creates_folder(before: State, now: State) -> bool:
    """Say whether there is another folder on the desktop, or a name being asked for anywhere.

    A name is asked for inside a folder's window, too, and when something is renamed.
    """
    new = set(now.get("folders") or ()) - set(before.get("folders") or ())
    return bool(new) or now.get("naming") is not None


HAPPENINGS: Mapping[str, Callable[[State, State], bool]] = {
    "browser_launch": _launches_browser,
    "folder_creation": _creates_folder,
}
"""What can be told from the state before a tick and the state after it."""


class Watched:
    """A user who is watched for happenings."""

    def __init__(self, user: User, happenings: Collection[str]) -> None:
        """Store whom to watch, and for what."""
        self.name = user.name
        self._seen = False
        self._user = user
        self._tests = [HAPPENINGS[name] for name in happenings]
        self._before: State | None = None

    @property
    def goal(self) -> str:
        """What the user is trying to do now."""
        return self._user.goal

    def reset(self, seed: int, width_px: int, height_px: int) -> None:
        """Start afresh before a screen of that size."""
        self._seen, self._before = False, None
        self._user.reset(seed, width_px, height_px)

    def act(self, state: dict[str, Any]) -> list[Event]:
        """Return the next tick's events."""
        self.look(state)
        return self._user.act(state)

    def reached(self, state: dict[str, Any]) -> bool:
        """Say whether ``goal`` is reached in this state."""
        return self._user.reached(state)

    def has_seen(self) -> bool:
        """Say whether one of the happenings has been seen."""
        return self._seen

    def look(self, state: dict[str, Any]) -> bool:
        """Take in a state, and say whether anything has been seen so far."""
        before = state if self._before is None else self._before
        self._seen = self._seen or any(test(before, state) for test in self._tests)
        self._before = state
        return self._seen
