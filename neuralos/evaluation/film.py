"""From an episode to the passage that is scored: played again, checked, reduced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from data_collection.action import Action
from neuralos.data.encode import TINY_SCREEN, Frames, reduce_frames
from neuralos.evaluation.episode import Episode, Stage, Tick, TraceHash, sit
from neuralos.evaluation.passage import Passage
from neuralos.evaluation.transitions import State, Transition, transitions
from neuralos.shapes import Screen


class SuiteMismatch(ValueError):
    """An episode is no longer what the suite was fixed with; its numbers would not compare."""

    hint = (
        "The scripted desktop or its users have changed: undo that, or make a suite of another "
        "name with `python -m neuralos.evaluation.choosing`."
    )


@dataclass(slots=True)
class Film:
    """An episode's ticks, reduced while they come."""

    screen: Screen
    frames: list[Frames] = field(default_factory=list)
    bare_frames: list[Frames] = field(default_factory=list)
    bare_index: list[int] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    _bare: Frames | None = None

    def add(self, tick: Tick) -> None:
        """Take in one tick; a picture under the cursor is reduced when it is another one."""
        self.frames.append(reduce_frames(tick.frame[None], self.screen)[0])
        if self._bare is None or not np.array_equal(tick.bare, self._bare):
            self._bare = tick.bare
            self.bare_frames.append(reduce_frames(tick.bare[None], self.screen)[0])
        self.bare_index.append(len(self.bare_frames) - 1)
        self.actions.append(tick.action)
        self.states.append(tick.state)

    def passage(self, name: str, group: str, warm: int, action_before: Action) -> Passage:
        """Return the passage of these ticks, the first ``warm`` of them known."""
        return Passage(
            id=name,
            group=group,
            frames=np.stack(self.frames),
            bare_frames=np.stack(self.bare_frames),
            bare_index=np.array(self.bare_index),
            done=(action_before, *self.actions),
            reduction=self.screen.reduction,
            warm=warm,
            transitions=scored_transitions(self.states, warm),
        )


def scored_transitions(states: Sequence[State], warm: int) -> tuple[Transition, ...]:
    """Return the changes that begin among the generated frames."""
    return tuple(change for change in transitions(states) if change.first >= warm)


def film(episode: Episode, stage: Stage, screen: Screen = TINY_SCREEN) -> tuple[Passage, str]:
    """Play an episode and return its passage and its hash."""
    taken, trace_hash, before = Film(screen), TraceHash(), Action()
    for number, tick in enumerate(played(episode, stage)):
        if number < episode.start:
            before = tick.action
            continue
        trace_hash.add(tick)
        taken.add(tick)
    passage = replace(
        taken.passage(episode.id, episode.group, episode.warm, before),
        decisive=max(0, episode.decisive - episode.start),
        event=max(0, episode.event - episode.start),
    )
    return passage, trace_hash.digest


def played(episode: Episode, stage: Stage) -> Iterable[Tick]:
    """Return the ticks of an episode's sitting up to its last frame."""
    return islice(sit(episode, stage), episode.start + episode.frames)


def checked_film(episode: Episode, stage: Stage, screen: Screen) -> Passage:
    """Play an episode and return its passage.

    Raises:
        SuiteMismatch: its frames or events are not those that the suite was fixed with.
    """
    passage, digest = film(episode, stage, screen)
    if digest != episode.digest:
        raise SuiteMismatch(
            f"episode {episode.id!r} has hash {digest}, and {episode.digest} in the suite"
        )
    return passage
