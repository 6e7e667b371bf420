"""A trace's events replayed on a fresh desktop: the frames that a real desktop gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from data_collection.clock import Clock
from data_collection.desktops.desktop import Desktop
from data_collection.recording.chain import Stretch, check_replayable
from data_collection.recording.pace import NS_PER_S
from data_collection.trace import Clip, TraceHeader

LONGEST_WAIT_S = 5.0
"""Between two frames of a chain: longer gaps are between traces, where nothing happens."""


class Cadence(Protocol):
    """When the replayed frames come."""

    def await_frame(self, t_mono_ns: int) -> None:
        """Wait until the frame that was due at a time of its trace is due again."""
        ...


class AsDrawn:
    """As fast as the desktop draws."""

    def await_frame(self, t_mono_ns: int) -> None:
        """Wait for nothing."""


class TrueCadence:
    """At the intervals at which the frames came when they were recorded.

    ``late`` counts the frames that came more than half a period late, ``latest_ms`` is the
    worst of them.
    """

    def __init__(self, clock: Clock, fps: int) -> None:
        self.late = 0
        self.latest_ms = 0.0
        self._clock = clock
        self._period_ns = NS_PER_S // fps
        self._due_ns: int | None = None
        self._t_mono_ns = 0

    def await_frame(self, t_mono_ns: int) -> None:
        """Sleep until the frame is due; a late one does not move the later ones."""
        now_ns = self._clock.monotonic_ns()
        if self._due_ns is None:
            self._due_ns = now_ns + self._period_ns
        else:
            gap_ns = max(t_mono_ns - self._t_mono_ns, 0)
            self._due_ns += min(gap_ns, int(LONGEST_WAIT_S * NS_PER_S))
        self._t_mono_ns = t_mono_ns
        while (left_ns := self._due_ns - self._clock.monotonic_ns()) > 0:
            self._clock.sleep(left_ns / NS_PER_S)
        behind_ns = self._clock.monotonic_ns() - self._due_ns
        self.late += behind_ns > self._period_ns // 2
        self.latest_ms = max(self.latest_ms, behind_ns / 1e6)


def relabelled_header(origin: TraceHeader, trace_id: str, desktop: Desktop) -> TraceHeader:
    """Return the header of a replay: real frames, everything else as its origin says.

    Source, policy and consent carry over, as does the timeline: the same events at the
    same times.
    """
    versions: Mapping[str, str] = getattr(desktop, "versions", {})
    return replace(
        origin,
        trace_id=trace_id,
        desktop=desktop.name,
        width_px=desktop.width_px,
        height_px=desktop.height_px,
        frame_source="real",
        checkpoint="",
        versions={**origin.versions, **versions},
        origin=origin.trace_id,
    )


def relabel(
    desktop: Desktop,
    chain: Sequence[Stretch],
    root: Path,
    trace_id: str,
    cadence: Cadence,
    until: Callable[[], bool] = lambda: False,
) -> Iterator[Clip]:
    """Replay a chain of traces on a desktop and yield the last one's clips with new frames.

    Args:
        desktop: any real desktop; it is reset with the seed of the chain's first trace.
        chain: from the trace that begins with a reset to the one whose frames are wanted.
        root: the store's folder.
        trace_id: of the clips that are yielded.
        cadence: when the frames come.
        until: asked before each frame; the replay ends with its last whole clip if so.

    Raises:
        NotReplayable: a position lies outside the desktop's screen, or a clip was redacted.
        ClipCorrupt: a clip's bytes are damaged.
    """
    wanted = chain[-1]
    desktop.reset(chain[0].header.seed)
    for stretch in chain:
        for clip in stretch.clips(root):
            check_replayable(clip, desktop.width_px, desktop.height_px)
            frames = []
            for group, t_mono_ns in zip(clip.events, clip.t_mono_ns, strict=True):
                if until():
                    return
                cadence.await_frame(t_mono_ns)
                frame = desktop.step(group)
                if stretch is wanted:
                    frames.append(frame)
            if stretch is wanted:
                yield Clip(
                    trace_id=trace_id,
                    seq=clip.seq,
                    first_frame=clip.first_frame,
                    frames=np.stack(frames),
                    t_mono_ns=clip.t_mono_ns,
                    events=clip.events,
                    state=desktop.state(),
                )
