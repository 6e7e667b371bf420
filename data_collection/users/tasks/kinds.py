"""The kinds of task by name, and how each is begun."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from data_collection.users.tasks.browsing import begin_browsing
from data_collection.users.tasks.icons import CreateFolder, OpenIcon
from data_collection.users.tasks.task import Task
from data_collection.users.tasks.terminal import begin_typing
from data_collection.users.tasks.windows import (
    CloseWindow,
    DragWindow,
    MaximiseWindow,
    MinimiseWindow,
    ResizeWindow,
    RestoreWindow,
    can_move,
    can_resize,
)
from data_collection.users.view import View
from data_collection.users.view_parts import WindowView

MOST_FOLDERS = 6
_MOST_MINIMISED = 2
_NAMES = (
    "notes",
    "work",
    "music",
    "photos",
    "letters",
    "plans",
    "games",
    "recipes",
    "travel",
    "drafts",
    "code",
    "books",
)

Begin = Callable[[View, np.random.Generator], "Task | None"]


def _open_icon(icon: str, verb: str = "open") -> Begin:
    def begin(view: View, rng: np.random.Generator) -> Task | None:
        task = OpenIcon(icon, verb)
        possible = icon in view.icons and not task.reached(view) and view.launching is None
        return task if possible else None

    return begin


def _open_folder(view: View, rng: np.random.Generator) -> Task | None:
    closed = [name for name in view.folders if name in view.icons and view.showing(name) is None]
    return OpenIcon(closed[int(rng.integers(len(closed)))], "open folder") if closed else None


def _create_folder(view: View, rng: np.random.Generator) -> Task | None:
    # A desktop without icons is not up yet, or keeps no folders.
    if not view.icons or view.free_slots == 0:
        return None
    name = _new_name(view, rng)
    return CreateFolder(name) if name else None


def _type_in_terminal(view: View, rng: np.random.Generator) -> Task | None:
    return begin_typing(view, _new_name(view, rng), rng)


def _say_in_terminal(view: View, rng: np.random.Generator) -> Task | None:
    return begin_typing(view, "", rng)


def _with_window(
    make: Callable[[WindowView], Task], fits: Callable[[WindowView, View], bool]
) -> Begin:
    def begin(view: View, rng: np.random.Generator) -> Task | None:
        windows = [window for window in view.windows if fits(window, view)]
        return make(_one_of(windows, rng)) if windows else None

    return begin


def _minimise(view: View, rng: np.random.Generator) -> Task | None:
    windows = [window for window in view.windows if window.minimise_button is not None]
    if not windows or len(view.minimised) >= _MOST_MINIMISED:
        return None
    return MinimiseWindow(_one_of(windows, rng))


def _restore(view: View, rng: np.random.Generator) -> Task | None:
    windows = [window for window in view.minimised if window.id in view.taskbar]
    return RestoreWindow(_one_of(windows, rng)) if windows else None


def _one_of(windows: Sequence[WindowView], rng: np.random.Generator) -> WindowView:
    return windows[int(rng.integers(len(windows)))]


def _new_name(view: View, rng: np.random.Generator) -> str:
    """Return a folder's name that is not taken; empty where there are enough folders."""
    if len(view.folders) >= MOST_FOLDERS:
        return ""
    free = [name for name in _NAMES if name not in view.folders]
    return free[int(rng.integers(len(free)))]


_BEGIN: dict[str, Begin] = {
    "open_home": _open_icon("Home"),
    "open_trash": _open_icon("Trash"),
    "open_terminal": _open_icon("Terminal"),
    "launch_browser": _open_icon("Browser", "launch"),
    "open_folder": _open_folder,
    "create_folder": _create_folder,
    "drag_window": _with_window(DragWindow, can_move),
    "resize_window": _with_window(ResizeWindow, can_resize),
    "maximise_window": _with_window(MaximiseWindow, lambda window, _: window.grip is not None),
    "minimise_window": _minimise,
    "restore_window": _restore,
    "close_window": _with_window(CloseWindow, lambda window, view: True),
    "type_in_terminal": _type_in_terminal,
    "browse": begin_browsing,
}

KINDS = tuple(_BEGIN)
"""What a task user does unless it is told what."""

_BEGIN["say_in_terminal"] = _say_in_terminal
EVERY_KIND = tuple(_BEGIN)
"""What a task user may be told to do: also to type in the terminal without making folders."""

BEFORE = {"restore_window": "minimise_window", "open_folder": "create_folder"}
"""The kind of task that has to be done before one of another kind can be."""


def begin(kind: str, view: View, rng: np.random.Generator) -> Task | None:
    """Return a task of one of ``KINDS``, or None where there is nothing of it to do now."""
    return _BEGIN[kind](view, rng)
