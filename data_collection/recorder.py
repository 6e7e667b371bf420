"""The fixed-rate loop: window to desktop to window, and into a trace while recording."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from data_collection.clock import Clock
from data_collection.desktops.pair import STARTING, DesktopPair, Desktops
from data_collection.desktops.process import DesktopDied
from data_collection.events import Event, Marker, PointerMoved
from data_collection.hotkeys import HostAction
from data_collection.hud import HudState, Page, Recording
from data_collection.pace import NS_PER_S, Pace
from data_collection.sink import ClipSink
from data_collection.sitting import Sitting, Tally
from data_collection.telemetry import NoTelemetry, Telemetry
from data_collection.trace import FPS, Consent, Frame, TraceHeader
from data_collection.users.user import User
from data_collection.window import Window

_MESSAGE_NS = 5 * NS_PER_S


@dataclass(frozen=True, slots=True)
class RecorderConfig:
    """How a window is recorded.

    ``seed`` is the first reset's; each further reset takes the next. ``source`` and
    ``policy`` say who acts. With ``Consent.SYNTHETIC`` (a scripted user) nobody is asked.
    ``hold_clips`` whole clips wait before they are handed on: what a person can discard.
    Recording stops, visibly, when less than ``min_disk_left_bytes`` are left.
    """

    seed: int = 0
    source: str = "person"
    policy: str = ""
    consent: Consent = Consent.GIVEN
    record_from_start: bool = True
    fps: int = FPS
    pump_hz: int = 200
    hold_clips: int = 1
    min_disk_left_bytes: int = 500_000_000
    versions: dict[str, str] = field(default_factory=dict)


class Recorder:
    """Runs a window and a desktop at a fixed rate, and records what happens.

    A gap is a fact: pause, reset, switch and discard end the trace, and a new one begins
    when recording goes on. The first event of a trace is a marker, ``reset`` where the
    desktop had just been reset to the header's seed (such a trace can be replayed) and
    ``resume`` where it went on from before; then the pointer's place, where it is known.
    While a question is on the screen the desktop stands still and nothing is recorded.
    """

    def __init__(
        self,
        window: Window,
        desktops: Desktops,
        sink: ClipSink,
        clock: Clock,
        rng: Random,
        config: RecorderConfig,
        telemetry: Telemetry | None = None,
        user: User | None = None,
    ) -> None:
        self.tally = Tally()
        self.recording = Recording.OFF
        self._window = window
        self._pair = DesktopPair(desktops, self._pump)
        self._sink = sink
        self._clock = clock
        self._rng = rng
        self._config = config
        self._telemetry = telemetry or NoTelemetry()
        self._user = user
        self._pace = Pace(config.fps)
        self._seed = config.seed
        self._consented = config.consent is Consent.SYNTHETIC
        self._consent_is_news = False
        self._fresh = True
        self._quit = False
        self._question = Page.NONE
        self._switch_asked = False
        self._sitting: Sitting | None = None
        self._frames_recorded = 0
        self._beginning = False
        self._label = ""
        self._place: tuple[int, int] | None = None
        self._events: list[Event] = []
        self._actions: list[HostAction] = []
        self._message = ""
        self._message_until_ns = 0
        self._shown_ns: deque[int] = deque(maxlen=2 * config.fps)
        self._frame: Frame | None = None

    @property
    def fps(self) -> float:
        """Frames a second over the last two seconds."""
        if len(self._shown_ns) < 2:
            return 0.0
        return (len(self._shown_ns) - 1) * NS_PER_S / (self._shown_ns[-1] - self._shown_ns[0])

    def run(self, until: Callable[[], bool]) -> Tally:
        """Run the opened window until ``until()`` or until it is closed.

        The sink and the window stay open: they are their owner's to close.

        Returns:
            What was recorded.

        Raises:
            DesktopDied: the real desktop died; what was recorded has been handed on.
        """
        self._frame = self._reset(self._seed)
        if self._config.record_from_start:
            self._start_recording()
        self._pace.start(self._clock.monotonic_ns())
        try:
            while not self._quit and not until():
                self._wait()
                self._tick()
        finally:
            self._end_trace()
            self._pair.drop_simulator()
        return self.tally

    def _wait(self) -> None:
        """Take input until the next frame is due."""
        while True:
            self._pump()
            left_ns = self._pace.due_ns - self._clock.monotonic_ns()
            if left_ns <= 0:
                return
            self._clock.sleep(min(left_ns / NS_PER_S, 1 / self._config.pump_hz))

    def _pump(self) -> None:
        pumped = self._window.pump(self._clock.monotonic_ns())
        self._events += pumped.events
        self._actions += pumped.host_actions

    def _tick(self) -> None:
        """One frame period: step, record, obey, show."""
        beat = self._pace.beat(self._clock.monotonic_ns())
        self.tally.late += beat.late
        self.tally.lost_ns += beat.lost_ns
        events, self._events = self._events, []
        actions, self._actions = self._actions, []
        try:
            if self._switch_asked and self._pair.simulator_up:
                events += self._window.let_go(beat.due_ns)
                actions.append(HostAction.SWITCH)
            if self._question is Page.NONE:
                self._step_and_record(events, HostAction.PAUSE in actions, beat.due_ns)
            for action in actions:
                self._obey(action)
        except DesktopDied as death:
            self._fall_back(death)
        self._place = self._window.pointer
        self._check_disk()
        self._show()
        if self._user is not None and self._question is Page.NONE:
            self._window.post(self._user.act(self._pair.current.state()))

    def _step_and_record(self, events: list[Event], pausing: bool, due_ns: int) -> None:
        first_ns = events[0].t_mono_ns if events else due_ns
        group = [*self._opening(first_ns), *events]
        if pausing and self._sitting is not None:
            group.append(Marker("pause", "", group[-1].t_mono_ns if group else due_ns))
        self._frame = self._pair.step(group)
        self._fresh = False
        sitting = self._sitting
        if sitting is None:
            return
        if self._pair.frame_source == "simulator" and self._pair.current.label != self._label:
            self._label = self._pair.current.label
            now_ns = group[-1].t_mono_ns if group else due_ns
            group.append(Marker("checkpoint", self._label, now_ns))
        sitting.add(self._frame, group, due_ns)
        self._frames_recorded += 1
        if sitting.clip_full:
            self._hand_on(sitting.cut)

    def _opening(self, t_mono_ns: int) -> list[Event]:
        """Return how a trace begins, in its first period; nothing in the others."""
        if not self._beginning:
            return []
        self._beginning = False
        events: list[Event] = [Marker("reset" if self._fresh else "resume", "", t_mono_ns)]
        if self._consent_is_news:
            self._consent_is_news = False
            events.append(Marker("consent", self._config.consent.value, t_mono_ns))
        if self._place is not None:
            events.append(PointerMoved(*self._place, t_mono_ns))
        return events

    def _obey(self, action: HostAction) -> None:
        if action is HostAction.QUIT:
            self._quit = True
        elif action is HostAction.RECORD:
            if self.recording is Recording.OFF:
                self._start_recording()
            else:
                self._end_trace()
                self.recording = Recording.OFF
        elif action is HostAction.PAUSE:
            self._pause()
        elif action is HostAction.RESET:
            self._end_trace()
            self._seed += 1
            self._frame = self._reset(self._seed)
            self._go_on()
        elif action is HostAction.SWITCH:
            self._switch()
        elif action is HostAction.DISCARD:
            if self._sitting is None:
                self._say("nothing to discard: not recording")
            else:
                self._ask(Page.DISCARD)
        else:
            self._take_answer(action is HostAction.ACCEPT)

    def _start_recording(self) -> None:
        if self._consented:
            self.recording = Recording.ON
            self._go_on()
        else:
            self._ask(Page.CONSENT)

    def _pause(self) -> None:
        if self.recording is Recording.ON:
            self._end_trace()
            self.recording = Recording.PAUSED
        elif self.recording is Recording.PAUSED:
            self.recording = Recording.ON
            self._go_on()
        else:
            self._say("nothing to pause: not recording")

    def _ask(self, page: Page) -> None:
        self._question = page
        self._window.ask(page)

    def _take_answer(self, accepted: bool) -> None:
        question, self._question = self._question, Page.NONE
        if question is Page.CONSENT and accepted:
            self._consented = self._consent_is_news = True
            self._start_recording()
        elif question is Page.CONSENT:
            self._say("nothing is recorded")
        elif question is Page.DISCARD:
            if accepted and self._sitting is not None:
                dropped = self._sitting.discard()
                self._frames_recorded -= dropped
                self._say(f"discarded {dropped / self._config.fps:.1f} s")
            self._end_trace()
            self._go_on()

    def _switch(self) -> None:
        self._switch_asked = False
        if self._pair.frame_source == "simulator":
            self._end_trace()
            self._pair.to_real()
        else:
            refusal = self._pair.to_simulator(self._seed)
            if refusal:
                self._switch_asked = refusal == STARTING
                self._say(refusal)
                return
            self._end_trace()
        self._fit()
        self._go_on()

    def _fall_back(self, death: SimulatorDied) -> None:
        """Go on with the real desktop, without what was meant for the simulator."""
        self._window.let_go(self._clock.monotonic_ns())
        self._switch_asked = False
        self._pair.drop_simulator()
        self._end_trace({})
        self._fit()
        self._frame = self._pair.step(())
        self._fresh = False
        self._go_on()
        self._say(f"back on the real desktop: {death}")

    def _reset(self, seed: int) -> Frame:
        frame = self._pair.reset(seed)
        self._fresh = True
        self._fit()
        if self._user is not None:
            self._user.reset(seed, frame.shape[1], frame.shape[0])
        return frame

    def _fit(self) -> None:
        self._window.fit(self._pair.current.width_px, self._pair.current.height_px)

    def _go_on(self) -> None:
        """Begin a trace, where recording is on; its first frame is the next one."""
        if self.recording is not Recording.ON:
            return
        self._label = self._pair.current.label
        header = new_header(
            self._clock, self._rng, self._pair.current, self._pair.frame_source, self._config
        )
        header = replace(header, seed=self._seed)
        self._sitting = Sitting(header, self._sink, self._config.hold_clips, self.tally)
        self._beginning = True

    def _end_trace(self, state: dict[str, Any] | None = None) -> None:
        """Hand on what was recorded; ``state`` is asked of the desktop unless given."""
        sitting, self._beginning = self._sitting, False
        if sitting is not None:
            self._hand_on(sitting.end, self._pair.current.state() if state is None else state)
            self._sitting = None

    def _hand_on(self, verb: Callable[[dict[str, Any]], None], state: dict[str, Any]) -> None:
        """Let the sitting give its clips to the sink; a refusal stops recording, visibly."""
        try:
            verb(state)
        except OSError as error:
            self._stop(f"recording stopped, the last seconds are lost: {error}")

    def _stop(self, why: str) -> None:
        self._sitting = None
        self.recording = Recording.OFF
        self._say(why)
