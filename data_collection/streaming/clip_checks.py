"""What a clip must satisfy to be stored: against its header, itself and its neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from data_collection.events import (
    ButtonChanged,
    Event,
    KeyChanged,
    PointerMoved,
    TextTyped,
    WheelTurned,
)
from data_collection.trace import Clip, ClipRow, TraceHeader

MAX_GAP_S = 5.0
"""The longest time between two frames of a clip; a longer pause ends the clip."""
MAX_RATE = 4.0
"""How much faster than the header's rate a clip's frames may follow each other."""
MAX_EVENTS = 4096
"""The most events of a clip."""
MAX_SCANCODE = 512
MAX_WHEEL = 1000
MAX_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a clip is not stored: a short stable name, and the particulars."""

    code: str
    hint: str


def check_clip(clip: Clip, header: TraceHeader) -> Fault | None:
    """Return the first thing wrong with a clip by itself."""
    return _check_place(clip, header) or _check_times(clip, header) or _check_events(clip, header)


def check_neighbours(
    clip: Clip, header: TraceHeader, before: ClipRow | None, after: ClipRow | None
) -> Fault | None:
    """Return what does not fit the stored clips before and after this one."""
    end_frame = clip.first_frame + len(clip.frames)
    if clip.seq == 0 and clip.first_frame != 0:
        return Fault("first_frame", f"clip 0 starts at frame {clip.first_frame}")
    if before and before.first_frame + before.frames != clip.first_frame:
        expected = before.first_frame + before.frames
        return Fault("first_frame", f"starts at {clip.first_frame}, not at {expected}")
    if after and end_frame != after.first_frame:
        return Fault("first_frame", f"ends before {end_frame}, not before {after.first_frame}")
    if before and header.wall_s(clip.t_mono_ns[0]) <= before.captured_wall_s:
        return Fault("time_order", f"begins before clip {before.seq} ends")
    if after and header.wall_s(clip.t_mono_ns[-1]) >= after.captured_wall_s:
        return Fault("time_order", f"ends after clip {after.seq} does")
    return None


def unbalanced(clip: Clip) -> tuple[str, ...]:
    """Name the keys and buttons that went up twice with no down between.

    A repeated down is how a held key reports itself, and an up alone may answer a down
    of an earlier clip; neither is named.
    """
    released: set[str] = set()
    named: dict[str, None] = {}
    for event in _events(clip):
        if isinstance(event, KeyChanged):
            name = f"key {event.scancode}"
        elif isinstance(event, ButtonChanged):
            name = f"button {event.button.value}"
        else:
            continue
        if event.down:
            released.discard(name)
        elif name in released:
            named[name] = None
        else:
            released.add(name)
    return tuple(named)


def _check_place(clip: Clip, header: TraceHeader) -> Fault | None:
    count, height, width, _ = clip.frames.shape
    if (width, height) != (header.width_px, header.height_px):
        screen = f"{header.width_px}x{header.height_px}"
        return Fault("screen", f"{width}x{height} pixels in a trace of {screen}")
    if count > header.fps:
        return Fault("frames", f"{count} frames, more than one second at {header.fps} fps")
    if clip.seq < 0 or clip.first_frame < 0:
        return Fault("first_frame", f"clip {clip.seq}, frame {clip.first_frame}")
    return None


def _check_times(clip: Clip, header: TraceHeader) -> Fault | None:
    times = clip.t_mono_ns
    for index, (before, after) in enumerate(pairwise(times), start=1):
        if after <= before:
            return Fault("time_order", f"frame {index} is due before frame {index - 1}")
        if after - before > MAX_GAP_S * 1e9:
            return Fault("time_gap", f"{(after - before) / 1e9:.1f} s before frame {index}")
    shortest_ns = (len(times) - 1) * 1e9 / header.fps / MAX_RATE
    if times[-1] - times[0] < shortest_ns:
        return Fault("time_rate", f"{len(times)} frames in {(times[-1] - times[0]) / 1e6:.1f} ms")
    return None


def _check_events(clip: Clip, header: TraceHeader) -> Fault | None:
    events = list(_events(clip))
    if len(events) > MAX_EVENTS:
        return Fault("events", f"{len(events)} events in a clip")
    last_ns = 0
    for event in events:
        if not _in_bounds(event, header):
            return Fault("event", f"out of bounds: {event}"[:200])
        # Scripted users leave 0: their only clock is the frame.
        if event.t_mono_ns:
            if event.t_mono_ns < last_ns:
                return Fault("event_order", f"event {event.seq} is older than the one before")
            last_ns = event.t_mono_ns
    return None


def _in_bounds(event: Event, header: TraceHeader) -> bool:
    if not 0 <= event.seq < 2**63 or not 0 <= event.t_mono_ns < 2**63:
        return False
    if isinstance(event, (PointerMoved, ButtonChanged)):
        return 0 <= event.x_px < header.width_px and 0 <= event.y_px < header.height_px
    if isinstance(event, KeyChanged):
        return 0 <= event.scancode < MAX_SCANCODE and len(event.keysym) <= MAX_TEXT
    if isinstance(event, WheelTurned):
        return abs(event.dx) <= MAX_WHEEL and abs(event.dy) <= MAX_WHEEL
    if isinstance(event, TextTyped):
        return len(event.text) <= MAX_TEXT
    return len(event.kind) <= MAX_TEXT and len(event.note) <= MAX_TEXT


def _events(clip: Clip) -> Iterator[Event]:
    return (event for group in clip.events for event in group)
