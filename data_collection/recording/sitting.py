"""The trace that is being recorded: its frames gathered into clips."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import numpy as np

from data_collection.events import Event
from data_collection.storage.sink import ClipSink
from data_collection.trace import Clip, Frame, TraceHeader


def new_trace_id(wall_s: float, rng: Random) -> str:
    """Return ``YYYYMMDD-hhmmss-xxxxxx``: the time in UTC and six random hex digits."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(wall_s))}-{rng.getrandbits(24):06x}"


@dataclass(slots=True)
class Tally:
    """What was recorded so far, over all traces; ``traces`` names those that were kept."""

    frames: int = 0
    clips: int = 0
    late: int = 0
    lost_ns: int = 0
    traces: list[str] = field(default_factory=list)


class Sitting:
    """One trace from its first frame to its last.

    Whole clips wait in a short queue, ``hold_clips`` long, before the sink gets them: what
    waits there can still be discarded. A trace that never gave a clip leaves nothing.
    """

    def __init__(self, header: TraceHeader, sink: ClipSink, hold_clips: int, tally: Tally) -> None:
        self.header = header
        self.frames = 0
        self._sink = sink
        self._hold_clips = hold_clips
        self._tally = tally
        self._events_seen = 0
        self._clips_cut = 0
        self._opened = False
        self._held: deque[Clip] = deque()
        self._frames: list[Frame] = []
        self._times: list[int] = []
        self._groups: list[tuple[Event, ...]] = []

    @property
    def clip_full(self) -> bool:
        """Whether the open clip has its second of frames."""
        return len(self._frames) >= self.header.fps

    def add(self, frame: Frame, events: Sequence[Event], due_ns: int) -> None:
        """Add a frame, the events that led to it, and when it was due."""
        group = tuple(
            replace(event, seq=self._events_seen + index) for index, event in enumerate(events)
        )
        self._events_seen += len(group)
        self._frames.append(frame)
        self._times.append(due_ns)
        self._groups.append(group)
        self.frames += 1

    def cut(self, state: dict[str, Any]) -> None:
        """Close the open clip and hand on the clips that have waited long enough.

        Args:
            state: the desktop's readable state after the clip's last frame.

        Raises:
            OSError: the sink could not keep a clip.
        """
        self._close_clip(state)
        self._hand_on(self._hold_clips)

    def end(self, state: dict[str, Any]) -> None:
        """Close the open clip and hand on all that waits.

        Raises:
            OSError: the sink could not keep a clip.
        """
        self._close_clip(state)
        self._hand_on(0)

    def discard(self) -> int:
        """Throw away what the sink has not got yet; return how many frames that were."""
        dropped = len(self._frames) + sum(len(clip.frames) for clip in self._held)
        self._held.clear()
        self._frames, self._times, self._groups = [], [], []
        self.frames -= dropped
        return dropped

    def _close_clip(self, state: dict[str, Any]) -> None:
        if not self._frames:
            return
        clip = Clip(
            trace_id=self.header.trace_id,
            seq=self._clips_cut,
            first_frame=self.frames - len(self._frames),
            frames=np.stack(self._frames),
            t_mono_ns=tuple(self._times),
            events=tuple(self._groups),
            state=state,
        )
        self._clips_cut += 1
        self._held.append(clip)
        self._frames, self._times, self._groups = [], [], []

    def _hand_on(self, keep: int) -> None:
        while len(self._held) > keep:
            if not self._opened:
                self._sink.open(self.header)
                self._opened = True
                self._tally.traces.append(self.header.trace_id)
            self._sink.put(self.header, self._held[0])
            clip = self._held.popleft()
            self._tally.clips += 1
            self._tally.frames += len(clip.frames)
