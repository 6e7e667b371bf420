"""Users by name."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from data_collection.users.explorer import Explorer
from data_collection.users.task import TaskUser
from data_collection.users.user import User

USERS: dict[str, Callable[[], User]] = {"explorer": Explorer, "task": TaskUser}


class UnknownUser(ValueError):
    """No user goes by that name; the message names the nearest."""


def make_user(name: str) -> User:
    """Return a new user of that name.

    Raises:
        UnknownUser: there is none.
    """
    if name not in USERS:
        nearest = get_close_matches(name, USERS, n=1, cutoff=0.0)[0]
        raise UnknownUser(
            f"no user {name!r}; did you mean {nearest!r}? There are: {', '.join(USERS)}"
        )
    return USERS[name]()
