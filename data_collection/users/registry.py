"""Users by name."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial

from data_collection.users.explorer import Explorer
from data_collection.users.task import TaskUser
from data_collection.users.tasks import EVERY_KIND
from data_collection.users.user import User

OPENING = ("open_home", "open_trash", "close_window")

WINDOWS = (
    "open_home",
    "open_trash",
    "open_terminal",
    "drag_window",
    "resize_window",
    "maximise_window",
    "minimise_window",
    "restore_window",
    "close_window",
)

USERS: dict[str, Callable[[], User]] = {
    "explorer": Explorer,
    "task": TaskUser,
    "opener": partial(TaskUser, OPENING),
    **{f"task:{kind}": partial(TaskUser, (kind,)) for kind in EVERY_KIND},
    "various": partial(TaskUser, various=True),
    "various:opener": partial(TaskUser, OPENING, various=True),
    "various:windows": partial(TaskUser, WINDOWS, various=True),
    "various:explorer": partial(Explorer, various=True),
    **{f"various:{kind}": partial(TaskUser, (kind,), various=True) for kind in EVERY_KIND},
}
"""``opener`` does only what opens and closes windows, the transitions that are rare elsewhere;
``task:KIND`` does one kind of task, and what has to be done before it. Those that begin with
``various`` do the same with the habits of many people."""


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
