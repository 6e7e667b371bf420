"""The real desktop and the simulator beside it, one of them on the screen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from data_collection.action import Action, fold
from data_collection.desktops.desktop import Desktop, WarmStart
from data_collection.desktops.process import DesktopDied
from data_collection.events import Event
from data_collection.trace import Frame

WARM_FRAMES = 16
"""Frames of the real desktop that the simulator continues from."""

NO_CHECKPOINT = "no checkpoint yet"
STARTING = "the simulator is starting …"


class SimulatorDied(DesktopDied):
    """The simulator's process died; the real desktop is as it was."""


@runtime_checkable
class Remote(Protocol):
    """A desktop elsewhere: it takes time to start, and time to answer."""

    on_wait: Callable[[], None] | None

    @property
    def ready(self) -> bool:
        """Whether it is up."""
        ...


@dataclass(frozen=True, slots=True)
class Desktops:
    """The desktops of a window.

    ``simulator`` is called when the simulator is asked for and there is none at work; it
    returns a desktop of its caller's own, or None while there is nothing to show.
    """

    real: Desktop
    simulator: Callable[[], Desktop | None] = lambda: None


class DesktopPair:
    """Steps the current desktop, and hands the real one's last frames to the simulator."""

    def __init__(self, desktops: Desktops, on_wait: Callable[[], None]) -> None:
        self._desktops = desktops
        self._on_wait = on_wait
        self._simulator: Desktop | None = None
        self._history: deque[tuple[Frame, Action]] = deque(maxlen=WARM_FRAMES)
        self._action = Action()
        self.current = desktops.real
        if isinstance(desktops.real, Remote):
            desktops.real.on_wait = on_wait

    @property
    def frame_source(self) -> str:
        """``real`` or ``simulator``."""
        return "real" if self.current is self._desktops.real else "simulator"

    @property
    def simulator_up(self) -> bool:
        """Whether the simulator was asked for and is up.

        Raises:
            SimulatorDied: it was asked for and could not be started.
        """
        simulator = self._simulator
        with _as_simulator():
            return simulator is not None and (not isinstance(simulator, Remote) or simulator.ready)

    def reset(self, seed: int) -> Frame:
        """Start the current desktop afresh and return its first frame.

        Raises:
            SimulatorDied: the simulator's process died, here and in every other call.
            DesktopDied: the real desktop's process died.
        """
        if self.current is not self._desktops.real:
            with _as_simulator():
                return self.current.reset(seed)
        frame = self.current.reset(seed)
        self._action = Action()
        self._history.clear()
        self._history.append((frame, self._action))
        return frame

    def step(self, events: Sequence[Event]) -> Frame:
        """Step the current desktop."""
        if self.current is not self._desktops.real:
            with _as_simulator():
                return self.current.step(events)
        frame = self.current.step(events)
        self._action = fold(events, self._action)
        self._history.append((frame, self._action))
        return frame

    def forget(self) -> None:
        """Forget the real desktop's last frames: the simulator must not go on from them."""
        self._history.clear()

    def state(self) -> dict[str, Any]:
        """Return the current desktop's readable state."""
        if self.current is not self._desktops.real:
            with _as_simulator():
                return self.current.state()
        return self.current.state()

    def to_simulator(self, seed: int) -> str:
        """Put the simulator on, warm; return why not where that cannot be done now."""
        if self._simulator is None:
            self._simulator = self._desktops.simulator()
        simulator = self._simulator
        if simulator is None:
            return NO_CHECKPOINT
        if isinstance(simulator, Remote):
            simulator.on_wait = self._on_wait
        with _as_simulator():
            if not self.simulator_up:
                return STARTING
            simulator.reset(seed)
            if isinstance(simulator, WarmStart) and self._history:
                frames, actions = zip(*self._history, strict=True)
                simulator.warm_start(frames, actions)
        self.current = simulator
        return ""

    def to_real(self) -> None:
        """Put the real desktop on, as it was left."""
        self.current = self._desktops.real

    def drop_simulator(self) -> None:
        """Put the real desktop on and close the simulator."""
        self.to_real()
        if self._simulator is not None:
            self._simulator.close()
            self._simulator = None


@contextmanager
def _as_simulator() -> Iterator[None]:
    """Say of a death that it was the simulator's."""
    try:
        yield
    except DesktopDied as death:
        raise SimulatorDied(str(death)) from death
