"""Users by name."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial

from data_collection.users.explorer import Explorer
from data_collection.users.task import TaskUser
from data_collection.users.tasks import KINDS
from data_collection.users.user import User

OPENING = ("open_home", "open_trash", "close_window")

USERS: dict[str, Callable[[], User]] = {
    "explorer": Explorer,
    "task": TaskUser,
    "opener": lambda: TaskUser(OPENING),
    **{f"task:{kind}": partial(TaskUser, (kind,)) for kind in KINDS},
}
"""``opener`` does only what opens and closes windows, the transitions that are rare elsewhere;
``task:KIND`` does one kind of task, and what has to be done before it."""


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
