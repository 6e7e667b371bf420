"""A stored trace as a player reads it: frame by frame, a clip at a time, and where one stands."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_collection.action import Action, fold
from data_collection.events import (
    REDACTION_KINDS,
    ButtonChanged,
    Event,
    KeyChanged,
    Marker,
    TextTyped,
    WheelTurned,
)
from data_collection.storage.codec import ClipCorrupt, decode_meta
from data_collection.storage.reading import read_body, read_clip
from data_collection.trace import Clip, ClipRow, ClipState, Frame, TraceHeader

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
TICK_KINDS = ("click", "key", "text", "wheel", "marker", "redacted")
"""Kinds of events with a tick on the scrub bar."""
_CACHED_CLIPS = 4
_UNREADABLE_GREY = 40


@dataclass(frozen=True, slots=True)
class PlayedTrace:
    """A trace to play: the store's folder, its header and its rows, in the order of its clips.

    Withdrawn rows may be among them; they are passed over.
    """

    root: Path
    header: TraceHeader
    rows: Sequence[ClipRow]


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame of a trace with what led to it.

    ``since_start_ns`` is its due time after the trace's first frame; ``action`` is what the
    events up to it fold to. ``problem`` says why there is no picture where there is none.
    """

    frame: Frame
    index: int
    since_start_ns: int
    events: tuple[Event, ...]
    action: Action
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """Something that happened at a position: what kind, one of ``TICK_KINDS``."""

    position: int
    kind: str


class TraceReader:
    """Reads a trace's frames by position, 0 to ``frames`` - 1, and caches a few clips.

    Events are read ahead, a few clips with each call of ``read_ahead``; until then the ticks
    are incomplete, and an action knows only of the events of its own clip.
    """

    def __init__(self, trace: PlayedTrace) -> None:
        rows = [row for row in trace.rows if row.state is ClipState.COMMITTED]
        if not rows:
            raise ValueError(f"{trace.header.trace_id} has no clips to play")
        self.header = trace.header
        self.ticks: list[Tick] = []
        self.key_names: dict[int, str] = {}
        self._root = trace.root
        self._rows = rows
        ends = np.cumsum([row.frames for row in rows]).tolist()
        self._starts: list[int] = [0, *ends[:-1]]
        self.frames: int = ends[-1]
        self._clips: OrderedDict[int, Clip | str] = OrderedDict()
        self._actions: list[Action] = [Action()]
        self._first_ns = self._first_due_ns()

    def moment(self, position: int) -> Moment:
        """Return the frame at a position, clamped to the trace."""
        position = min(max(position, 0), self.frames - 1)
        number = bisect_right(self._starts, position) - 1
        row, within = self._rows[number], position - self._starts[number]
        clip = self._clip(number)
        if isinstance(clip, str):
            size = (self.header.height_px, self.header.width_px, 3)
            grey = np.full(size, _UNREADABLE_GREY, np.uint8)
            return Moment(grey, row.first_frame + within, 0, (), Action(), clip)
        action = self._actions[min(number, len(self._actions) - 1)]
        if number >= len(self._actions):
            action = Action()
        for group in clip.events[: within + 1]:
            action = fold(group, action)
        return Moment(
            frame=clip.frames[within],
            index=row.first_frame + within,
            since_start_ns=clip.t_mono_ns[within] - self._first_ns,
            events=clip.events[within],
            action=action,
        )

    def position_at(self, since_start_ns: int) -> int:
        """Return the last position whose frame was due by then; the first one before it."""
        due_ns = self._first_ns + since_start_ns
        number = bisect_left([self._last_due_ns(row) for row in self._rows], due_ns)
        number = min(number, len(self._rows) - 1)
        clip = self._clip(number)
        if isinstance(clip, str):
            return self._starts[number]
        return max(0, self._starts[number] + bisect_right(clip.t_mono_ns, due_ns) - 1)

    def read_ahead(self, clips: int) -> bool:
        """Read the events of so many further clips; return whether there are more."""
        for _ in range(clips):
            number = len(self._actions) - 1
            if number >= len(self._rows):
                return False
            self._take_events(number)
        return len(self._actions) <= len(self._rows)

    def _take_events(self, number: int) -> None:
        action = self._actions[-1]
        try:
            groups = decode_meta(read_body(self._root, self._rows[number])).events
        except ClipCorrupt:
            groups = ()
        for within, group in enumerate(groups):
            action = fold(group, action)
            position = self._starts[number] + within
            for event in group:
                if isinstance(event, KeyChanged) and event.keysym:
                    self.key_names[event.scancode] = event.keysym
                kind = _tick_kind(event)
                if kind:
                    self.ticks.append(Tick(position, kind))
        self._actions.append(action)

    def _clip(self, number: int) -> Clip | str:
        """Return a clip, or what is wrong with it."""
        if number not in self._clips:
            row = self._rows[number]
            try:
                self._clips[number] = read_clip(self._root, row)
            except ClipCorrupt as error:
                self._clips[number] = f"clip {row.seq} cannot be read: {error}"
            if len(self._clips) > _CACHED_CLIPS:
                self._clips.popitem(last=False)
        self._clips.move_to_end(number)
        return self._clips[number]

    def _first_due_ns(self) -> int:
        clip = self._clip(0)
        if isinstance(clip, str):
            period_ns = 1e9 / self.header.fps
            return round(self._last_due_ns(self._rows[0]) - (self._rows[0].frames - 1) * period_ns)
        return clip.t_mono_ns[0]

    def _last_due_ns(self, row: ClipRow) -> int:
        # Rounded up: a wall-clock float is no exact nanosecond.
        since_anchor_s = row.captured_wall_s - self.header.anchor_wall_s
        return self.header.anchor_mono_ns + round(since_anchor_s * 1e9) + 1000


class Playhead:
    """Where a player stands in ``frames`` frames, and how fast it goes on.

    Args:
        frames: how many there are.
        fps: how many a second at speed 1.
    """

    def __init__(self, frames: int, fps: int) -> None:
        self.frames = frames
        self.playing = False
        self._fps = fps
        self._exact = 0.0
        self._speed = SPEEDS.index(1.0)

    @property
    def position(self) -> int:
        """The frame it stands at."""
        return int(self._exact)

    @property
    def speed(self) -> float:
        """How many times faster than it was recorded."""
        return SPEEDS[self._speed]

    def seek(self, position: int) -> None:
        """Go to a frame, clamped."""
        self._exact = float(min(max(position, 0), self.frames - 1))

    def step(self, frames: int) -> None:
        """Go on, or back, by so many frames, and stop there."""
        self.playing = False
        self.seek(self.position + frames)

    def jump(self, seconds: int) -> None:
        """Go on, or back, by so many seconds; playing goes on."""
        self.seek(self.position + seconds * self._fps)

    def toggle(self) -> None:
        """Play or pause; at the end, play from the beginning."""
        if not self.playing and self.position == self.frames - 1:
            self._exact = 0.0
        self.playing = not self.playing

    def change_speed(self, by: int) -> None:
        """Take the next faster (1) or slower (-1) speed, if there is one."""
        self._speed = min(max(self._speed + by, 0), len(SPEEDS) - 1)

    def advance(self, elapsed_s: float) -> None:
        """Let time pass; at the last frame playing ends."""
        if not self.playing:
            return
        self._exact += elapsed_s * self._fps * self.speed
        if self._exact >= self.frames - 1:
            self.seek(self.frames - 1)
            self.playing = False


def moment_in_words(moment: Moment, key_names: dict[int, str]) -> list[str]:
    """Return what was done at a moment: pointer, buttons and keys; then text and markers."""
    action = moment.action
    words = [f"pointer {action.x_px},{action.y_px}"]
    for name, held, clicked in zip(
        ("left", "middle", "right"), action.held, action.clicked, strict=True
    ):
        if held or clicked:
            words.append(f"{name} {'pressed' if clicked else 'held'}")
    if action.clicks > 1:
        words.append(f"click {action.clicks}")
    if action.wheel_dy:
        words.append(f"wheel {action.wheel_dy:+d}")
    if action.keys:
        names = (key_names.get(code, f"#{code}") for code in sorted(action.keys))
        words.append("keys " + " ".join(names))
    text = "".join(event.text for event in moment.events if isinstance(event, TextTyped))
    markers = [event for event in moment.events if isinstance(event, Marker)]
    noted = [f"text {text!r}"] if text else []
    noted += [f"[{marker.kind}{': ' if marker.note else ''}{marker.note}]" for marker in markers]
    return ["  ".join(words), "  ".join(noted)]


def _tick_kind(event: Event) -> str:
    if isinstance(event, ButtonChanged) and event.down:
        return "click"
    if isinstance(event, KeyChanged) and event.down:
        return "key"
    if isinstance(event, TextTyped):
        return "text"
    if isinstance(event, WheelTurned):
        return "wheel"
    if isinstance(event, Marker):
        return "redacted" if event.kind in REDACTION_KINDS else "marker"
    return ""
