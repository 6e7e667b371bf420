"""Traces of scripted users without a window: as fast as a desktop draws, or in real time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from data_collection.clock import Clock
from data_collection.desktops.desktop import Desktop
from data_collection.events import Event, Marker
from data_collection.recording.goals import GoalNotes
from data_collection.recording.pace import NS_PER_S, Pace
from data_collection.trace import FPS, Clip, Consent, Frame, TraceHeader
from data_collection.users.user import User


class Timing(Protocol):
    """When the frames of a trace come, and what time its events bear."""

    def start(self) -> None:
        """Begin: the first frame is due one period from now."""
        ...

    def await_frame(self) -> int:
        """Wait until the next frame is due; return the time of the events that lead to it."""
        ...

    def frame_taken(self) -> int:
        """Return the time of the frame that was just taken."""
        ...


class DrawnTime:
    """A timeline of its own that begins at 0: no clock, the same times everywhere."""

    def __init__(self, fps: int) -> None:
        self._period_ns = round(NS_PER_S / fps)
        self._due_ns = 0

    def start(self) -> None:
        """Begin at 0."""
        self._due_ns = 0

    def await_frame(self) -> int:
        """Wait for nothing; events lie half a period before their frame."""
        self._due_ns += self._period_ns
        return self._due_ns - self._period_ns // 2

    def frame_taken(self) -> int:
        """Return when the frame is due."""
        return self._due_ns


class RealTime:
    """The clock's own time, a frame a period; ``late`` and ``lost_ns`` say how that went."""

    def __init__(self, clock: Clock, fps: int) -> None:
        self.late = 0
        self.lost_ns = 0
        self._clock = clock
        self._pace = Pace(fps)

    def start(self) -> None:
        """Make the first frame due one period from now."""
        self._pace.start(self._clock.monotonic_ns())

    def await_frame(self) -> int:
        """Sleep until the frame is due; events happen now."""
        while (left_ns := self._pace.due_ns - self._clock.monotonic_ns()) > 0:
            self._clock.sleep(left_ns / NS_PER_S)
        now_ns = self._clock.monotonic_ns()
        beat = self._pace.beat(now_ns)
        self.late += beat.late
        self.lost_ns += beat.lost_ns
        return now_ns

    def frame_taken(self) -> int:
        """Return the time now."""
        return self._clock.monotonic_ns()


def synthetic_header(
    trace_id: str,
    desktop: Desktop,
    *,
    seed: int,
    source: str,
    policy: str,
    clock: Clock | None = None,
    versions: Mapping[str, str] | None = None,
) -> TraceHeader:
    """Return the header of a scripted user's trace.

    Without a clock its timeline begins at 0, so that the same seed gives the same bytes
    everywhere.
    """
    return TraceHeader(
        trace_id=trace_id,
        desktop=desktop.name,
        width_px=desktop.width_px,
        height_px=desktop.height_px,
        seed=seed,
        source=source,
        consent=Consent.SYNTHETIC,
        anchor_wall_s=clock.wall_s() if clock else 0.0,
        anchor_mono_ns=clock.monotonic_ns() if clock else 0,
        fps=FPS,
        policy=policy,
        versions=dict(versions or {}),
    )


def collect(
    desktop: Desktop,
    user: User,
    header: TraceHeader,
    clips: int,
    timing: Timing | None = None,
    until: Callable[[], bool] = lambda: False,
) -> Generator[Clip, None, None]:
    """Let a user work at a desktop and yield the clips of the trace.

    The trace begins with a ``reset`` marker, so that it can be replayed; the user's goals
    are markers, too (``goals.py``).

    Args:
        desktop: any desktop; it is reset with the header's seed.
        user: who acts; reset with the same seed.
        header: what the trace says of itself.
        clips: how many clips of one second each.
        timing: when frames come; as fast as the desktop draws if not given.
        until: asked before each frame; the trace ends early where it says yes, with a
            shorter last clip.
    """
    timing = timing or DrawnTime(header.fps)
    desktop.reset(header.seed)
    user.reset(header.seed, desktop.width_px, desktop.height_px)
    sitting = _Sitting(desktop, user, timing, header)
    timing.start()
    for _ in range(clips * header.fps):
        if until():
            break
        sitting.tick()
        if sitting.clip_full and sitting.frames < clips * header.fps:
            yield sitting.cut()
    if sitting.clip_frames:
        sitting.note_end()
        yield sitting.cut()


class _Sitting:
    """The trace on its way: its frame counter, and the open clip."""

    def __init__(self, desktop: Desktop, user: User, timing: Timing, header: TraceHeader) -> None:
        self.frames = 0
        self._desktop = desktop
        self._user = user
        self._timing = timing
        self._header = header
        self._notes = GoalNotes(user)
        self._events = 0
        self._clips = 0
        self._clear()

    @property
    def clip_frames(self) -> int:
        """How many frames the open clip has."""
        return len(self._taken)

    @property
    def clip_full(self) -> bool:
        """Whether the open clip has its second."""
        return self.clip_frames >= self._header.fps

    def tick(self) -> None:
        """Let the user act, step the desktop, keep the frame."""
        t_ns = self._timing.await_frame()
        opening: list[Event] = [] if self.frames else [Marker("reset")]
        acted = self._user.act(self._desktop.state())
        group = self._stamp([*opening, *self._notes.after_act(), *acted], t_ns)
        self._taken.append(self._desktop.step(group))
        self._times.append(self._timing.frame_taken())
        self._groups.append(group)
        self.frames += 1

    def note_end(self) -> None:
        """Say with the last frame what became of the goal at hand."""
        markers = self._notes.at_end(self._desktop.state())
        self._groups[-1] += self._stamp(markers, self._times[-1])

    def cut(self) -> Clip:
        """Return the open clip and begin the next."""
        clip = Clip(
            trace_id=self._header.trace_id,
            seq=self._clips,
            first_frame=self.frames - self.clip_frames,
            frames=np.stack(self._taken),
            t_mono_ns=tuple(self._times),
            events=tuple(self._groups),
            state=self._desktop.state(),
        )
        self._clips += 1
        self._clear()
        return clip

    def _clear(self) -> None:
        self._taken: list[Frame] = []
        self._times: list[int] = []
        self._groups: list[tuple[Event, ...]] = []

    def _stamp(self, events: list[Event], t_ns: int) -> tuple[Event, ...]:
        first = self._events
        self._events += len(events)
        return tuple(
            replace(event, t_mono_ns=t_ns, seq=first + index) for index, event in enumerate(events)
        )
