"""The recording side of a window: which trace is open, how it begins and how it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from random import Random
from typing import Any

from data_collection.clock import Clock
from data_collection.desktops.desktop import Desktop
from data_collection.events import Event, Marker, PointerMoved
from data_collection.recording.lineage import Lineage
from data_collection.recording.redaction import Redaction
from data_collection.recording.sitting import KeptClip, Sitting, Tally, new_trace_id
from data_collection.storage.sink import ClipSink, Cut
from data_collection.trace import FPS, Consent, Frame, TraceHeader
from data_collection.window.hud import Recording
from data_collection.window.viewport import Point

_REMEMBERED_CLIPS = 3600
"""How far back clips can be taken back one after the other: an hour."""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """How much of the recording was taken back, and where its clips had been."""

    seconds: float
    cut: Cut


def in_words(taken: TakenBack) -> str:
    """Say what was cut, where it had been, and what cannot be undone."""
    if not taken.seconds:
        return "nothing to cut: nothing was recorded"
    text = f"cut the last {taken.seconds:.1f} s"
    if not taken.cut.sent:
        return text + ", none of it sent"
    return text + f", {taken.cut.sent} s of it sent: withdrawn; what was learned stays"


@dataclass(frozen=True, slots=True)
class RecorderConfig:
    """How a window is recorded.

    ``seed`` is the first reset's; each further reset takes the next. ``source`` and
    ``policy`` say who acts. With ``Consent.SYNTHETIC`` (a scripted user) nobody is asked.
    ``hold_s`` is how long clips are held back from being sent, where they are sent at all:
    what a person can discard.
    ``start_on`` is the desktop to begin with, ``real`` or ``simulator``.
    Recording stops, visibly, when less than ``min_disk_left_bytes`` are left.
    """

    seed: int = 0
    source: str = "person"
    policy: str = ""
    consent: Consent = Consent.GIVEN
    record_from_start: bool = True
    start_on: str = "real"
    fps: int = FPS
    pump_hz: int = 200
    hold_s: float = 1.0
    min_disk_left_bytes: int = 500_000_000
    versions: dict[str, str] = field(default_factory=dict)


class Tape:
    """Records one trace after another into a sink.

    The first event of a trace is a marker, ``reset`` where the desktop had just been reset
    to the header's seed (such a trace can be replayed) and ``resume`` where it went on from
    before; then ``consent`` where a person gave it, and the pointer's place where it is known.
    A trace that goes on says which one it ``follows``, as long as every step of the real
    desktop since its reset was recorded.

    While redacting, frames are blanked before they are stored, in clips of their own. The
    desktop's state would tell what was typed, so from then on, as after a cut, it stays out
    of the clips until the desktop is started afresh.
    """

    def __init__(
        self,
        sink: ClipSink,
        clock: Clock,
        rng: Random,
        config: RecorderConfig,
        say: Callable[[str], None],
    ) -> None:
        self.tally = Tally()
        self.recording = Recording.OFF
        self.failure: OSError | None = None
        """Why the sink could not keep a clip, the last time that it could not."""
        self.frames = 0
        """Frames recorded and not discarded, over all traces."""
        self._sink = sink
        self._clock = clock
        self._rng = rng
        self._config = config
        self._say = say
        self._sitting: Sitting | None = None
        self._kept: deque[KeptClip] = deque(maxlen=_REMEMBERED_CLIPS)
        self._redaction = Redaction()
        self._state_withheld = False
        self._opening: tuple[str, ...] = ()
        self._label = ""
        self._lineage = Lineage()

    @property
    def running(self) -> bool:
        """Whether a trace is open."""
        return self._sitting is not None

    def begin(self, desktop: Desktop, frame_source: str, seed: int, fresh: bool) -> None:
        """Begin a trace where recording is on; its first frame is the next one added.

        Args:
            desktop: what is on the screen.
            frame_source: ``real`` or ``simulator``.
            seed: the seed of the desktop's last reset.
            fresh: whether it has not been stepped since.
        """
        if self.recording is not Recording.ON:
            return
        wall_s = self._clock.wall_s()
        self._label = desktop.label
        trace_id = new_trace_id(wall_s, self._rng)
        follows = self._lineage.begin(trace_id, frame_source, fresh)
        header = TraceHeader(
            trace_id=trace_id,
            desktop=desktop.name,
            width_px=desktop.width_px,
            height_px=desktop.height_px,
            seed=seed,
            source=self._config.source,
            consent=self._config.consent,
            anchor_wall_s=wall_s,
            anchor_mono_ns=self._clock.monotonic_ns(),
            fps=self._config.fps,
            frame_source=frame_source,
            checkpoint=self._label if frame_source == "simulator" else "",
            policy=self._config.policy,
            versions=self._config.versions,
            follows=follows.trace_id,
            follows_frames=follows.frames,
        )
        self._sitting = Sitting(header, self._sink, self.tally, self._kept)
        self._redaction.begin_trace()
        self._opening = ("reset" if fresh else "resume",)
        if self._config.consent is Consent.GIVEN:
            # Each trace carries it, since ingest sees one trace at a time.
            self._opening = (*self._opening, "consent")

    def opening(self, t_mono_ns: int, pointer: Point | None) -> list[Event]:
        """Return how the trace begins, once; the desktop takes it too, for its pointer."""
        kinds, self._opening = self._opening, ()
        events: list[Event] = [Marker(kind, "", t_mono_ns) for kind in kinds]
        if kinds and pointer is not None:
            events.append(PointerMoved(*pointer, t_mono_ns))
        return events

    def add(self, frame: Frame, group: Sequence[Event], due_ns: int) -> bool:
        """Add a frame and the events that led to it; return whether a clip is full."""
        if self._sitting is None:
            self.gap()
            return False
        if self._redaction.on:
            opens_clip = not self._sitting.open_frames
            frame, group = self._redaction.blank(frame, group, opens_clip, due_ns)
        self._redaction.follow(group)
        self._sitting.add(frame, group, due_ns)
        self.frames += 1
        return self._sitting.clip_full

    def new_label(self, label: str, now_ns: int) -> list[Event]:
        """Return a marker where the simulator's label, its weights, changed within a trace."""
        if self._sitting is None or label == self._label:
            return []
        self._label = label
        simulated = self._sitting.header.frame_source == "simulator"
        return [Marker("checkpoint", label, now_ns)] if simulated else []

    def cut(self, state: dict[str, Any]) -> None:
        """Close a full clip; ``state`` is the desktop's after its last frame."""
        if self._sitting is not None:
            self._hand_on(self._sitting.cut, state)

    def end(self, state: dict[str, Any]) -> None:
        """End the trace, if one is open, and hand on all of it."""
        self._opening = ()
        if self._sitting is not None:
            self._lineage.end(self._sitting.frames)
            if self._redaction.on:
                self.gap()
            self._hand_on(self._sitting.cut, state)
            self._sitting = None

    @property
    def redacting(self) -> bool:
        """Whether frames are blanked."""
        return self._redaction.on

    def begin_redaction(self, state: dict[str, Any]) -> None:
        """Blank every frame from the next one on; ``state`` is the desktop's before it."""
        self.cut(state)
        self._redaction.begin()
        self._state_withheld = True

    def mark_end_of_redaction(self) -> None:
        """Say in the next frame's events that it is the last one blanked."""
        self._redaction.mark_end()

    def end_redaction(self) -> None:
        """Blank no more; the trace ends, for what follows does not follow from its events."""
        self.end({})
        self._redaction.end()

    def desktop_is_afresh(self) -> None:
        """Note that the desktop's state has forgotten all that was done."""
        self._state_withheld = self.redacting

    def take_back(self, seconds: float) -> TakenBack:
        """Destroy the newest seconds of what was recorded, in whole clips; the trace ends.

        Blanked frames of an open clip go without being counted. A further call takes what
        lies before.

        Raises:
            OSError: the sink could not make it durable; a further call tries it again.
        """
        wanted = round(seconds * self._config.fps)
        taken = 0
        if self._sitting is not None:
            dropped = self._sitting.drop_open()
            self.frames -= dropped
            taken = 0 if self.redacting else dropped
        self._redaction.end()
        self.gap()
        self._sitting, self._opening = None, ()
        self._state_withheld = True
        doomed: list[KeptClip] = []
        while self._kept and taken < wanted:
            doomed.insert(0, self._kept.pop())
            taken += doomed[0].frames
        try:
            cut = self._withdraw(doomed)
        except OSError:
            self._kept.extend(doomed)
            raise
        for clip in doomed:
            self._uncount(clip)
            self.tally.withdrawn_clips += 1
        return TakenBack(taken / self._config.fps, cut)

    def _withdraw(self, clips: list[KeptClip]) -> Cut:
        cut = Cut()
        for _, group in groupby(clips, key=lambda clip: clip.header.trace_id):
            run = list(group)
            cut += self._sink.withdraw(run[0].header, run[0].seq, run[-1].seq)
        return cut

    def close(self) -> None:
        """Have the sink finish; what it could not keep after all is not counted."""
        try:
            self._sink.close()
        except OSError as error:
            known = self.failure is not None and error.__cause__ is self.failure.__cause__
            self._lost(error, 0 if known else getattr(error, "unkept", 0))

    def _lost(self, error: OSError, clips: int) -> None:
        self.failure = error
        for _ in range(clips):
            self._uncount(self._kept.pop())

    def _uncount(self, clip: KeptClip) -> None:
        self.tally.uncount(clip)
        self.frames -= clip.frames

    def gap(self) -> None:
        """Say that the desktop takes a step, or an event, that no trace holds."""
        self._lineage.gap()

    def _hand_on(self, verb: Callable[[dict[str, Any]], None], state: dict[str, Any]) -> None:
        """Give a clip to the sink; its refusal stops recording, visibly."""
        try:
            verb({} if self._state_withheld else state)
        except OSError as error:
            self._sitting = None
            self.recording = Recording.OFF
            # A sink that works in the background had taken some clips already.
            self._lost(error, getattr(error, "unkept", 1) - 1)
            kept = self.tally.frames / self._config.fps
            self._say(f"recording stopped: {error}; {kept:.0f} s before it are kept")
