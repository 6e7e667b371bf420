"""What a clip must satisfy to be stored: against its header, itself and its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any

from data_collection.events import (
    ButtonChanged,
    Event,
    KeyChanged,
    Marker,
    PointerMoved,
    TextTyped,
    WheelTurned,
)
from data_collection.storage.store import EncodedClip
from data_collection.trace import Clip, ClipRow, Consent, TraceHeader

MAX_GAP_S = 5.0
"""The longest time between two frames of a clip; a longer pause ends the clip."""
MAX_GAP_NS = round(MAX_GAP_S * 1e9)
MAX_RATE = 4.0
"""How much faster than the header's rate a clip's frames may follow each other."""
MAX_EVENTS = 4096
"""The most events of a clip."""
MAX_SCANCODE = 512
MAX_WHEEL = 1000
MAX_TEXT = 1000
_REDACTS = ("redact_start", "redacted")
_REDACTION_END = "redact_end"
MAX_DEPTH = 64
"""How deep the values of a state may be nested."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a clip is not stored: a short stable name, and the particulars."""

    code: str
    hint: str


def check_clip(clip: Clip, header: TraceHeader) -> Fault | None:
    """Return the first thing wrong with a clip by itself."""
    return (
        _check_place(clip, header)
        or _check_times(clip, header)
        or _check_events(clip, header)
        or _check_consent(clip, header)
        or _check_redaction(clip)
        or check_state(clip.state)
    )


def check_neighbours(
    clip: EncodedClip, header: TraceHeader, before: ClipRow | None, after: ClipRow | None
) -> Fault | None:
    """Return what does not fit the stored clips before and after this one."""
    end_frame = clip.first_frame + clip.frames
    if before and before.first_frame + before.frames != clip.first_frame:
        expected = before.first_frame + before.frames
        return Fault("first_frame", f"starts at {clip.first_frame}, not at {expected}")
    if after and end_frame != after.first_frame:
        return Fault("first_frame", f"ends before {end_frame}, not before {after.first_frame}")
    first_s, last_s = header.wall_s(clip.first_ns), header.wall_s(clip.last_ns)
    if before and first_s <= before.captured_wall_s:
        return Fault("time_order", f"begins before clip {before.seq} ends")
    if before and first_s - before.captured_wall_s > MAX_GAP_S:
        gap_s = first_s - before.captured_wall_s
        return Fault("time_gap", f"{gap_s:.1f} s after clip {before.seq} ends")
    if after and last_s >= after.captured_wall_s:
        return Fault("time_order", f"ends after clip {after.seq} does")
    if after and after.captured_wall_s - last_s > MAX_GAP_S * after.frames:
        gap_s = after.captured_wall_s - last_s
        return Fault("time_gap", f"{gap_s:.1f} s before clip {after.seq} ends")
    return None


def _check_place(clip: Clip, header: TraceHeader) -> Fault | None:
    count, height, width, _ = clip.frames.shape
    if (width, height) != (header.width_px, header.height_px):
        screen = f"{header.width_px}x{header.height_px}"
        return Fault("screen", f"{width}x{height} pixels in a trace of {screen}")
    if count > header.fps:
        return Fault("frames", f"{count} frames, more than one second at {header.fps} fps")
    # Each clip before it has one frame at least and a second of them at most.
    if not 0 <= clip.seq <= clip.first_frame <= clip.seq * header.fps:
        return Fault("first_frame", f"clip {clip.seq} starts at frame {clip.first_frame}")
    return None


def _check_times(clip: Clip, header: TraceHeader) -> Fault | None:
    times = clip.t_mono_ns
    for index, (before, after) in enumerate(pairwise(times), start=1):
        if after <= before:
            return Fault("time_order", f"frame {index} is due before frame {index - 1}")
        if after - before > MAX_GAP_NS:
            return Fault("time_gap", f"{(after - before) / 1e9:.1f} s before frame {index}")
    shortest_ns = (len(times) - 1) * 1e9 / header.fps / MAX_RATE
    if times[-1] - times[0] < shortest_ns:
        return Fault("time_rate", f"{len(times)} frames in {(times[-1] - times[0]) / 1e6:.1f} ms")
    # As frames follow each other within the gap, so does the first one follow the anchor.
    since_anchor_ns = times[0] - header.anchor_mono_ns
    if not -MAX_GAP_NS <= since_anchor_ns <= MAX_GAP_NS * (clip.first_frame + 2):
        return Fault("time_anchor", f"begins {since_anchor_ns / 1e9:.1f} s after the anchor")
    return None


def _check_events(clip: Clip, header: TraceHeader) -> Fault | None:
    if sum(map(len, clip.events)) > MAX_EVENTS:
        return Fault("events", f"more than {MAX_EVENTS} events in a clip")
    last_ns, last_seq = 0, -1
    for due_ns, group in zip(clip.t_mono_ns, clip.events, strict=True):
        for event in group:
            if not _in_bounds(event, header):
                return Fault("event", f"out of bounds: {event}"[:200])
            if event.seq <= last_seq:
                return Fault("event_order", f"event {event.seq} stands after event {last_seq}")
            last_seq = event.seq
            # Scripted users leave 0: their only clock is the frame.
            if not event.t_mono_ns:
                continue
            if event.t_mono_ns < last_ns:
                return Fault("event_order", f"event {event.seq} is older than the one before")
            if abs(event.t_mono_ns - due_ns) > MAX_GAP_NS:
                return Fault("event_time", f"event {event.seq} is of another time than its frame")
            last_ns = event.t_mono_ns
    return None


def _check_consent(clip: Clip, header: TraceHeader) -> Fault | None:
    """A person's trace begins with a marker that says so, as the recorder writes it."""
    if clip.seq or header.consent is not Consent.GIVEN:
        return None
    for event in clip.events[0]:
        if not isinstance(event, Marker):
            break
        if event.kind == "consent":
            return None
    return Fault("consent", "the trace does not begin with the marker of the consent given")


def _check_redaction(clip: Clip) -> Fault | None:
    """While a person redacts, nothing typed or pressed may have left the window."""
    is_on = False
    for group in clip.events:
        kinds = {event.kind for event in group if isinstance(event, Marker)}
        is_on = is_on or not kinds.isdisjoint(_REDACTS)
        if is_on and any(map(_tells, group)):
            return Fault("redaction", "holds what was typed or pressed while redacting")
        is_on = is_on and _REDACTION_END not in kinds
    return None


def _tells(event: Event) -> bool:
    if isinstance(event, (KeyChanged, ButtonChanged)):
        return event.down
    return isinstance(event, TextTyped)


def check_state(state: dict[str, Any]) -> Fault | None:
    """Return why another program could not be given this state: depth, text or numbers."""
    level: list[Any] = [state]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.keys()
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif not _plain(value):
                return Fault("state", f"{value!r}"[:100] + " is no text or number to keep")
        if not below:
            return None
        level = below
    return Fault("state", f"nested deeper than {MAX_DEPTH}")


def _plain(value: Any) -> bool:
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, float):
        return isfinite(value)
    return value is None or -(2**63) <= value < 2**63


def _encodable(text: str) -> bool:
    """Tell a text from one with half a character, which JSON can say and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fits(text: str) -> bool:
    return len(text) <= MAX_TEXT and _encodable(text)


def _in_bounds(event: Event, header: TraceHeader) -> bool:
    if not 0 <= event.seq < 2**63 or not 0 <= event.t_mono_ns < 2**63:
        return False
    if isinstance(event, (PointerMoved, ButtonChanged)):
        return 0 <= event.x_px < header.width_px and 0 <= event.y_px < header.height_px
    if isinstance(event, KeyChanged):
        return 0 <= event.scancode < MAX_SCANCODE and _fits(event.keysym)
    if isinstance(event, WheelTurned):
        return abs(event.dx) <= MAX_WHEEL and abs(event.dy) <= MAX_WHEEL
    if isinstance(event, TextTyped):
        return _fits(event.text)
    return _fits(event.kind) and _fits(event.note)
