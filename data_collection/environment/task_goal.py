"""A task of the scripted users as a goal that an agent is paid for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from data_collection.desktops.desktop import Desktop
from data_collection.events import Event
from data_collection.users.hand import Hand
from data_collection.users.task import UnknownKind
from data_collection.users.tasks import BEFORE, KINDS, Task, begin
from data_collection.users.view import View

MOST_TICKS = 450
"""What may pass before a task can be begun."""
_DEFAULT_BEFORE = "open_home"

Tick = Callable[[Sequence[Event]], Any]
"""Lets the desktop take one period's events."""


class ImpossibleTask(ValueError):
    """A kind of task cannot be begun on this desktop."""


def check_kind(kind: str) -> None:
    """Refuse what is no kind of task.

    Raises:
        UnknownKind: the message names the nearest.
    """
    if kind not in KINDS:
        nearest = get_close_matches(kind, KINDS, n=1, cutoff=0.0)[0]
        raise UnknownKind(f"no kind of task {kind!r}; did you mean {nearest!r}?")


def draw_task(kind: str, desktop: Desktop, tick: Tick, rng: np.random.Generator) -> Task:
    """Return a task of that kind that can be done now.

    Where something has to be there first, such as a window to close, the hand of a scripted
    user brings it about.

    Args:
        kind: one of ``users.tasks.KINDS``.
        desktop: a fresh one.
        tick: lets it take one period's events.
        rng: decides the particulars.

    Raises:
        ImpossibleTask: it could not be begun within ``MOST_TICKS``.
    """
    hand = Hand(rng, desktop.width_px, desktop.height_px)
    hand.find(*View.from_state(desktop.state()).pointer)
    ticks = 0
    before: Task | None = None
    while ticks < MOST_TICKS:
        view = View.from_state(desktop.state())
        # A half-done one leaves a menu open, or a name half typed.
        if before is None or before.reached(view):
            task = begin(kind, view, rng)
            if task is not None:
                return task
            first = BEFORE.get(kind, _DEFAULT_BEFORE)
            # What comes before may itself need something: a window to minimise, say.
            before = begin(first, view, rng) or begin(_DEFAULT_BEFORE, view, rng)
        gesture = hand.rest(1) if before is None else before.next(view, hand, rng)
        for events in gesture:
            tick(events)
        ticks += len(gesture)
    raise ImpossibleTask(f"{kind!r} could not be begun on this desktop")
