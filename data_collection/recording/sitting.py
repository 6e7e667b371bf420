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
    """What was recorded and kept so far, over all traces, whose ids are in ``traces``."""

    frames: int = 0
    clips: int = 0
    late: int = 0
    lost_ns: int = 0
    traces: list[str] = field(default_factory=list)
    withdrawn_clips: int = 0

    def keep(self, clip: KeptClip) -> None:
        """Count a clip that the sink has taken."""
        self.frames += clip.frames
        self.clips += 1
        if clip.header.trace_id not in self.traces:
            self.traces.append(clip.header.trace_id)

    def uncount(self, clip: KeptClip) -> None:
        """Take back that a clip was kept; a trace without clips is not one any more."""
        self.frames -= clip.frames
        self.clips -= 1
        if clip.seq == 0:
            self.traces.remove(clip.header.trace_id)


@dataclass(frozen=True, slots=True)
class KeptClip:
    """A clip that a sink has: which one, and how many frames it holds."""

    header: TraceHeader
    seq: int
    frames: int


class Sitting:
    """One trace from its first frame to its last.

    Only the open clip, at most a second, is in memory: the sink gets each clip when it is
    closed. A trace that never gave a clip leaves nothing.

    Args:
        header: what the trace says of itself.
        sink: where its clips go.
        tally: counts what was kept.
        kept: the clips are noted here as well, newest last.
    """

    def __init__(
        self, header: TraceHeader, sink: ClipSink, tally: Tally, kept: deque[KeptClip]
    ) -> None:
        self.header = header
        self._sink = sink
        self._tally = tally
        self._kept = kept
        self._frames_before = 0
        self._events_seen = 0
        self._clips_cut = 0
        self._frames: list[Frame] = []
        self._times: list[int] = []
        self._groups: list[tuple[Event, ...]] = []

    @property
    def frames(self) -> int:
        """How many frames the trace has."""
        return self._frames_before + len(self._frames)

    @property
    def open_frames(self) -> int:
        """How many frames the open clip has."""
        return len(self._frames)

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

    def cut(self, state: dict[str, Any]) -> None:
        """Close the open clip, if it has a frame, and hand it to the sink.

        Args:
            state: the desktop's readable state after the clip's last frame.

        Raises:
            OSError: the sink could not keep a clip.
        """
        if not self._frames:
            return
        clip = Clip(
            trace_id=self.header.trace_id,
            seq=self._clips_cut,
            first_frame=self._frames_before,
            frames=np.stack(self._frames),
            t_mono_ns=tuple(self._times),
            events=tuple(self._groups),
            state=state,
        )
        if self._clips_cut == 0:
            self._sink.open(self.header)
        self._sink.put(self.header, clip)
        self._frames, self._times, self._groups = [], [], []
        self._frames_before += len(clip.frames)
        self._clips_cut += 1
        self._kept.append(KeptClip(self.header, clip.seq, len(clip.frames)))
        self._tally.keep(self._kept[-1])

    def drop_open(self) -> int:
        """Throw the open clip away; return how many frames it had."""
        dropped = len(self._frames)
        self._frames, self._times, self._groups = [], [], []
        return dropped
