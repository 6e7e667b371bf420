"""A user that does one task after another, finding its targets in the readable state."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from data_collection.events import Event
from data_collection.users.hand import CALM, OWN_HAND, Hand, own_habits
from data_collection.users.tasks import BEFORE, EVERY_KIND, KINDS, Task, begin
from data_collection.users.view import View, random_point

_MOST_WINDOWS = 2
_WANDERS = 0.3
"""How often a various user moves somewhere between two tasks."""
GIVE_UP_TICKS = 450
"""A task that is not done by then is over, its goal not reached."""
_NOTHING_TO_DO_TICKS = 10


class UnknownKind(ValueError):
    """No kind of task goes by that name."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A task that is over; one given up after ``GIVE_UP_TICKS`` did not reach its goal."""

    goal: str
    reached: bool
    ticks: int


class TaskUser:
    """Draws tasks from ``kinds`` at random; closes a window whenever more than two are open.

    ``various``: the seed also chooses the hand's habits and how many windows may be open,
    and between two tasks the pointer sometimes wanders about.
    """

    name = "task"

    def __init__(self, kinds: Sequence[str] = KINDS, various: bool = False) -> None:
        """Store the kinds of task and start with seed 0 before a screen of 512x384.

        Raises:
            UnknownKind: a kind is not in ``EVERY_KIND``; the message names the nearest.
        """
        for kind in kinds:
            if kind not in EVERY_KIND:
                nearest = get_close_matches(kind, EVERY_KIND, n=1, cutoff=0.0)[0]
                raise UnknownKind(f"no kind of task {kind!r}; did you mean {nearest!r}?")
        self.kinds = tuple(kinds)
        self.various = various
        self.outcomes: list[Outcome] = []
        self.reset(0, 512, 384)

    @property
    def goal(self) -> str:
        """The task at hand, or the last one."""
        return self._task.goal if self._task else "look around"

    def reset(self, seed: int, width_px: int, height_px: int) -> None:
        """Start afresh before a screen of that size."""
        self._rng = np.random.Generator(np.random.Philox(seed))
        self._own = np.random.Generator(np.random.Philox(seed + OWN_HAND))
        habits = own_habits(self._own) if self.various else CALM
        self._most_windows = int(self._own.integers(1, 5)) if self.various else _MOST_WINDOWS
        self._hand = Hand(self._rng, width_px, height_px, habits)
        self._todo: deque[list[Event]] = deque()
        self._task: Task | None = None
        self._over = True
        self._ticks = 0
        self._started = False
        self.outcomes = []

    def act(self, state: dict[str, Any]) -> list[Event]:
        """Return the next tick's events.

        Raises:
            UnreadableDesktop: the desktop has no readable state.
        """
        self._ticks += 1
        if not self._started:
            self._started = True
            view = View.from_state(state)
            self._todo.extend(self._hand.find(*view.pointer))
            self._begin(view)
        if not self._todo:
            self._plan(View.from_state(state))
        return self._todo.popleft()

    def reached(self, state: dict[str, Any]) -> bool:
        """Say whether ``goal`` is reached in this state."""
        return self._task is not None and self._task.reached(View.from_state(state))

    def _plan(self, view: View) -> None:
        """Put the next gesture on the list: of this task, a rest after it, or of a new one."""
        if self._task is None or self._over:
            self._begin(view)
        task = self._task
        if task is None:
            self._todo.extend(self._hand.rest(_NOTHING_TO_DO_TICKS))
            return
        reached = task.reached(view)
        if reached or self._ticks > GIVE_UP_TICKS:
            self.outcomes.append(Outcome(task.goal, reached, self._ticks))
            self._over = True
            self._todo.extend(self._hand.rest(int(self._rng.integers(3, 16))))
            if self.various and self._own.random() < _WANDERS:
                self._todo.extend(self._hand.move(*random_point(view.work_area, self._own)))
        else:
            self._todo.extend(task.next(view, self._hand, self._rng))

    def _begin(self, view: View) -> None:
        """Draw a task; a desktop that is only coming up may offer nothing yet."""
        self._task, self._over, self._ticks = self._draw(view), False, 0

    def _draw(self, view: View) -> Task | None:
        """Draw a task that can be done now; close or open something where none can."""
        kinds = list(self.kinds) if len(view.windows) <= self._most_windows else ["close_window"]
        order = [kinds[int(index)] for index in self._rng.permutation(len(kinds))]
        before = [BEFORE[kind] for kind in order if kind in BEFORE]
        for kind in (*order, *before, "close_window", "open_home"):
            task = begin(kind, view, self._rng)
            if task is not None:
                return task
        return None
