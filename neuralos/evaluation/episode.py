"""An episode of a suite: which stretch of which scripted sitting, and the hash of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from data_collection.action import BUTTONS, Action, fold
from data_collection.desktops.scripted import ScriptedConfig, ScriptedDesktop
from data_collection.events import ButtonChanged, Event, KeyChanged, event_to_json
from data_collection.users import Explorer, TaskUser, User

TASK_USER, EXPLORER = "task", "explorer"
MOST_TICKS = 10**6


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of what one scripted user does, from a seed.

    The user acts from the desktop's reset on, up to tick ``until``, and then lets go of
    everything; the episode is the ``frames`` frames from tick ``start`` on, of which the
    first ``warm`` are known to the simulator. ``decisive`` is the tick of the input that
    brings the task's event about, ``event`` the tick at which the desktop shows it.
    """

    id: str
    group: str
    """``general``, ``long`` or the name of a task."""
    user: str
    seed: int
    start: int
    frames: int
    warm: int = 16
    until: int = MOST_TICKS
    decisive: int = 0
    event: int = 0
    digest: str = ""

    @property
    def is_task(self) -> bool:
        """Whether it is judged by its end."""
        return self.event > 0

    def to_json(self) -> dict[str, Any]:
        """Return the episode as a JSON object, without what has its default."""
        default = asdict(Episode("", "", "", 0, 0, 0))
        return {name: value for name, value in asdict(self).items() if value != default[name]}

    @classmethod
    def from_json(cls, obj: dict[str, Any]) -> Episode:
        """Rebuild an episode."""
        return cls(**obj)


@dataclass(slots=True)
class Tick:
    """One tick of a sitting: what was done, and what the desktop showed and was then."""

    events: tuple[Event, ...]
    action: Action
    frame: npt.NDArray[np.uint8]
    bare: npt.NDArray[np.uint8]
    """The frame without its cursor."""
    state: dict[str, Any]


@dataclass(slots=True)
class TraceHash:
    """The hash of frames and events, bit for bit."""

    _hash: Any = field(default_factory=hashlib.sha256)

    def add(self, tick: Tick) -> None:
        """Take in one tick."""
        events = [event_to_json(event) for event in tick.events]
        self._hash.update(json.dumps(events, sort_keys=True).encode())
        self._hash.update(np.ascontiguousarray(tick.frame).data)

    @property
    def digest(self) -> str:
        """The hash so far, in 32 hexadecimal digits."""
        return str(self._hash.hexdigest()[:32])


@dataclass(frozen=True, slots=True)
class Stage:
    """What all episodes of a suite are played on: the desktop, and what task users do."""

    config: ScriptedConfig
    kinds: tuple[str, ...]

    def user(self, episode: Episode) -> User:
        """Return the user of an episode."""
        return Explorer() if episode.user == EXPLORER else TaskUser(self.kinds)


def sit(episode: Episode, stage: Stage) -> Iterator[Tick]:
    """Yield the ticks of an episode's sitting, from the desktop's reset on."""
    desktop, user = ScriptedDesktop(stage.config), stage.user(episode)
    desktop.reset(episode.seed)
    user.reset(episode.seed, desktop.width_px, desktop.height_px)
    action, state, tick = Action(), desktop.state(), 0
    while True:
        events = user.act(state) if tick <= episode.until else _let_go(action)
        action = fold(events, action)
        frame = desktop.step(events)
        state = desktop.state()
        yield Tick(tuple(events), action, frame, desktop.bare_frame, state)
        tick += 1


def _let_go(action: Action) -> Sequence[Event]:
    """Return the events that release whatever is held, where the pointer is."""
    held = [button for button, down in zip(BUTTONS, action.held, strict=True) if down]
    releases: list[Event] = [
        ButtonChanged(button, False, action.x_px, action.y_px) for button in held
    ]
    return [*releases, *(KeyChanged(key, "", False) for key in sorted(action.keys_held))]
