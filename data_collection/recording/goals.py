"""What a scripted user was after, written into its trace as markers and read back.

A ``goal`` marker stands where a goal began, ``goal_reached`` or ``goal_missed`` where it
ended; one that was still open at the trace's end is ``goal_unfinished`` there. The note
of each is the goal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from data_collection.events import Event, Marker
from data_collection.storage.codec import ClipMeta
from data_collection.trace import Clip
from data_collection.users.user import User

BEGUN = "goal"
REACHED = "goal_reached"
MISSED = "goal_missed"
UNFINISHED = "goal_unfinished"
_ENDS = {REACHED: True, MISSED: False, UNFINISHED: None}
_MAX_NOTE = 300


@dataclass(frozen=True, slots=True)
class GoalOutcome:
    """A goal and what became of it by ``frame`` (of the trace); None where time ran out."""

    goal: str
    reached: bool | None
    frame: int

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as a JSON object."""
        return {"goal": self.goal, "reached": self.reached, "frame": self.frame}


class GoalNotes:
    """Turns the goals of a user at work into markers; times and numbers are left 0."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._goal = ""
        self._rested_from = ""
        self._over = 0

    def after_act(self) -> list[Event]:
        """Return the markers of what began and ended with the user's last ``act``."""
        markers: list[Event] = []
        outcomes = getattr(self._user, "outcomes", ())
        for outcome in outcomes[self._over :]:
            markers += self._begin(outcome.goal)
            markers.append(_marker(REACHED if outcome.reached else MISSED, outcome.goal))
            # The user still names it while it rests before the next one.
            self._goal, self._rested_from = "", outcome.goal
        self._over = len(outcomes)
        if self._user.goal != self._rested_from:
            markers += self._begin(self._user.goal)
        return markers

    def at_end(self, state: dict[str, Any]) -> list[Event]:
        """Return what to say of the goal at hand when the trace ends in ``state``."""
        if not self._goal:
            return []
        reached = self._user.reached(state)
        return [_marker(REACHED if reached else UNFINISHED, self._goal)]

    def _begin(self, goal: str) -> list[Event]:
        if goal == self._goal:
            return []
        self._goal, self._rested_from = goal, ""
        return [_marker(BEGUN, goal)]


def goal_outcomes(clips: Iterable[Clip | ClipMeta]) -> list[GoalOutcome]:
    """Return the goals of a trace's clips in order; one without an end is unfinished."""
    outcomes: list[GoalOutcome] = []
    begun: str | None = None
    frame = 0
    for clip in clips:
        for index, group in enumerate(clip.events):
            frame = clip.first_frame + index
            for event in group:
                if not isinstance(event, Marker):
                    continue
                if event.kind == BEGUN:
                    begun = event.note
                elif event.kind in _ENDS:
                    outcomes.append(GoalOutcome(event.note, _ENDS[event.kind], frame))
                    begun = None
    if begun is not None:
        outcomes.append(GoalOutcome(begun, None, frame))
    return outcomes


def goal_in_words(outcomes: Iterable[GoalOutcome]) -> str:
    """Return the goals of a trace in one line."""
    return "; ".join(outcome.goal for outcome in outcomes)


def all_reached(outcomes: Iterable[GoalOutcome]) -> bool:
    """Say whether a trace reached its goals; one that time ran out on counts only if alone."""
    ended = [outcome.reached for outcome in outcomes]
    decided = [reached for reached in ended if reached is not None]
    return bool(decided) and all(decided)


def _marker(kind: str, goal: str) -> Marker:
    return Marker(kind, goal[:_MAX_NOTE])
