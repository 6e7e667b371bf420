"""A segment of a log as clips: 15 frames a second, each event with the frame it led to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_collection.events import Event, Marker
from data_collection.imports.demo_events import HEIGHT_PX, WIDTH_PX, LineEvents
from data_collection.imports.demo_pictures import Pictures
from data_collection.trace import Clip, Consent, Frame, TraceHeader

LEAD_S = 1.0
"""A trace's clock stands at so much when its first frame is due."""


@dataclass(frozen=True, slots=True)
class _Grid:
    """The frame times of a trace, in nanoseconds since its anchor."""

    anchor_wall_s: float
    first_due_ns: int
    period_ns: int

    def ns(self, wall_s: float) -> int:
        return round((wall_s - self.anchor_wall_s) * 1e9)

    def due_ns(self, frame: int) -> int:
        return self.first_due_ns + frame * self.period_ns

    def frame_at(self, t_ns: int) -> int:
        """Return the first frame that is due at ``t_ns`` or later."""
        return max(0, -((self.first_due_ns - t_ns) // self.period_ns))


def clips(
    header: TraceHeader, lines: Sequence[LineEvents], pictures: Pictures | None
) -> Iterator[Clip]:
    """Yield the clips of a segment.

    Args:
        header: its anchor lies ``LEAD_S`` before the first line's frame.
        lines: the segment's lines with their events.
        pictures: where the simulator's frames are; None if there are none, and all frames
            are black.

    An event bears the estimated time of its input. It goes to the frame that is due next;
    where there are pictures, to the frame that first shows the picture made for it.
    """
    grid = _Grid(header.anchor_wall_s, round(LEAD_S * 1e9), round(1e9 / header.fps))
    count = grid.frame_at(grid.ns(lines[-1].timed.ready_s)) + 1
    consented = header.consent is Consent.GIVEN
    groups = _groups(grid, lines, count, shown=pictures is not None, consented=consented)
    frames = _frames(grid, lines, count, pictures)
    for seq, first in enumerate(range(0, count, header.fps)):
        end = min(first + header.fps, count)
        yield Clip(
            trace_id=header.trace_id,
            seq=seq,
            first_frame=first,
            frames=np.stack([next(frames) for _ in range(first, end)]),
            t_mono_ns=tuple(grid.due_ns(index) for index in range(first, end)),
            events=tuple(tuple(group) for group in groups[first:end]),
        )


def _groups(
    grid: _Grid, lines: Sequence[LineEvents], count: int, *, shown: bool, consented: bool
) -> list[list[Event]]:
    groups: list[list[Event]] = [[] for _ in range(count)]
    # As the window writes it: the desktop is fresh, and the person agreed.
    opening = [Marker("reset")]
    if consented:
        opening.append(Marker("consent", "stated by whoever imported the log"))
    start_ns = grid.ns(lines[0].timed.input_s)
    for seq, marker in enumerate(opening):
        groups[0].append(replace(marker, t_mono_ns=start_ns, seq=seq))
    seq = len(opening)
    for line in lines:
        timed = line.timed
        t_ns = grid.ns(timed.input_s)
        frame = grid.frame_at(grid.ns(timed.ready_s) if shown else t_ns)
        for event in line.events:
            groups[frame].append(replace(event, t_mono_ns=t_ns, seq=seq))
            seq += 1
    return groups


def _frames(
    grid: _Grid, lines: Sequence[LineEvents], count: int, pictures: Pictures | None
) -> Iterator[Frame]:
    """Yield what each frame shows: the newest picture that was ready when it was due."""
    shown = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    if pictures is None:
        for _ in range(count):
            yield shown
        return
    upcoming = 0
    for frame in range(count):
        while upcoming < len(lines) and grid.ns(lines[upcoming].timed.ready_s) <= grid.due_ns(
            frame
        ):
            picture = pictures.read(lines[upcoming].timed.line)
            shown = shown if picture is None else picture
            upcoming += 1
        yield shown
