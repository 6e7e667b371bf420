"""The fixed-rate loop: window to desktop to window, and into a trace while recording."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from data_collection.clock import Clock
from data_collection.desktops.pair import STARTING, DesktopPair, Desktops, Remote, SimulatorDied
from data_collection.desktops.process import DesktopDied
from data_collection.events import Event, Marker
from data_collection.recording.pace import NS_PER_S, Pace, Rate
from data_collection.recording.redaction import BLANK
from data_collection.recording.sitting import Tally
from data_collection.recording.tape import RecorderConfig as RecorderConfig
from data_collection.recording.tape import Tape, in_words
from data_collection.storage.sink import ClipSink
from data_collection.trace import Consent, Frame
from data_collection.users.user import User
from data_collection.window.hotkeys import CUT_S, HostAction
from data_collection.window.hud import HudState, Page, Recording
from data_collection.window.telemetry import NoTelemetry, Telemetry
from data_collection.window.window import Window

_MESSAGE_NS = 5 * NS_PER_S
_IMPORTANT_NS = 15 * NS_PER_S


class Recorder:
    """Runs a window and a desktop at a fixed rate, and records what happens.

    A gap is a fact: pause, reset, switch, discard and redaction end the trace, and a new one
    begins when recording goes on. While a question is on the screen the desktop stands still and
    nothing is recorded.
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
        self._window = window
        self._pair = DesktopPair(desktops, self._pump)
        self._tape = Tape(sink, clock, rng, config, self._say)
        self._clock = clock
        self._config = config
        self._telemetry = telemetry or NoTelemetry()
        self._user = user
        self._pace = Pace(config.fps)
        self._rate = Rate(2 * config.fps)
        self._seed = config.seed
        self._fresh = True
        self._consented = config.consent is Consent.SYNTHETIC
        self._question = Page.NONE
        self._switch_asked = False
        self._quit = False
        self._events: list[Event] = []
        self._actions: list[HostAction] = []
        self._place: tuple[int, int] | None = None
        self._message = ""
        self._message_until_ns = 0

    @property
    def tally(self) -> Tally:
        """What was recorded so far."""
        return self._tape.tally

    @property
    def failure(self) -> OSError | None:
        """Why clips could not be kept; None where all were."""
        return self._tape.failure

    @property
    def fps(self) -> float:
        """Frames a second over the last two seconds."""
        return self._rate.fps

    def run(self, until: Callable[[], bool]) -> Tally:
        """Run the opened window until ``until()`` or until it is closed.

        The sink is closed at the end; the window and the real desktop are their owner's.

        Returns:
            What was recorded.

        Raises:
            DesktopDied: the real desktop died, or there is no simulator to begin with; what
                was recorded has been handed on.
        """
        if isinstance(self._pair.current, Remote):
            self._window.show(self._no_frame_yet(), HudState(message="the desktop is starting …"))
        frame = self._reset()
        self._pace.start(self._clock.monotonic_ns())
        try:
            if self._config.start_on == "simulator":
                self._begin_on_simulator(frame, until)
            if self._config.record_from_start:
                self._start_recording()
            while not self._quit and not until():
                self._wait()
                frame = self._tick(frame)
        finally:
            self._end_trace()
            self._tape.close()
            self._pair.drop_simulator()
        return self.tally

    def _no_frame_yet(self) -> Frame:
        width_px, height_px = self._window.viewport.desktop
        return np.full((height_px, width_px, 3), BLANK, np.uint8)

    def _begin_on_simulator(self, frame: Frame, until: Callable[[], bool]) -> None:
        """Show the real desktop, standing still, until the simulator is up."""
        while refusal := self._pair.to_simulator(self._seed):
            if refusal != STARTING:
                raise DesktopDied(refusal)
            self._say(refusal)
            self._wait()
            self._pace.beat(self._clock.monotonic_ns())
            self._quit = HostAction.QUIT in self._actions
            # A key that goes down now may still be down when recording begins.
            if HostAction.REDACT in self._actions:
                self._tape.begin_redaction({})
            if {HostAction.REVEAL, HostAction.CUT} & set(self._actions):
                self._tape.end_redaction()
            self._events, self._actions = [], []
            self._show(frame)
            if self._quit or until():
                return
        self._say("")
        # Still fresh: the simulator continues the real desktop's first frame.
        self._fit()
        self._pace.start(self._clock.monotonic_ns())

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

    def _tick(self, frame: Frame) -> Frame:
        """One frame period: step, record, obey, show; return the frame on the screen."""
        now_ns = self._clock.monotonic_ns()
        beat = self._pace.beat(now_ns)
        self.tally.late += beat.late
        self.tally.lost_ns += beat.lost_ns
        events, self._events = self._events, []
        actions, self._actions = self._actions, []
        if self._simulator_came_up():
            events += self._window.let_go(now_ns)
            actions.append(HostAction.SWITCH)
        if HostAction.PAUSE in actions:
            events.append(Marker("pause", "", now_ns))
        try:
            if HostAction.REDACT in actions:
                # Before this period's frame, which comes after the key went down.
                self._tape.begin_redaction(self._state() if self._tape.running else {})
            if HostAction.REVEAL in actions:
                self._tape.mark_end_of_redaction()
            if self._question is Page.NONE:
                frame = self._step(events, beat.due_ns, now_ns)
            for action in actions:
                self._obey(action)
        except SimulatorDied as death:
            frame = self._fall_back(death)
        self._place = self._window.pointer
        self._show(frame)
        if self._user is not None and self._pair.frame_source == "real":
            self._window.post(self._user.act(self._state()))
        return frame

    def _step(self, events: list[Event], due_ns: int, now_ns: int) -> Frame:
        """Step the desktop and, while recording, add the frame to the trace."""
        first_ns = events[0].t_mono_ns if events else now_ns
        group = [*self._tape.opening(first_ns, self._place), *events]
        frame = self._pair.step(group)
        if self._tape.redacting:
            self._pair.forget()
        self._fresh = False
        group += self._tape.new_label(self._pair.current.label, now_ns)
        if self._tape.add(frame, group, due_ns):
            self._tape.cut(self._state())
        return frame

    def _obey(self, action: HostAction) -> None:
        if action is HostAction.QUIT:
            self._quit = True
        elif action is HostAction.RECORD:
            if self._tape.recording is Recording.OFF:
                self._start_recording()
            else:
                self._end_trace()
                self._tape.recording = Recording.OFF
        elif action is HostAction.PAUSE:
            self._pause()
        elif action is HostAction.RESET:
            self._end_trace()
            self._seed += 1
            self._reset()
            self._begin_trace()
        elif action is HostAction.SWITCH:
            self._switch()
        elif action is HostAction.DISCARD:
            if not self._tape.running:
                self._say("nothing to discard: not recording")
            else:
                self._ask(Page.DISCARD)
        elif action is HostAction.REDACT:
            if not self._tape.running:
                self._say("not recording: nothing of this is stored anyway")
        elif action is HostAction.REVEAL:
            self._reveal()
        elif action is HostAction.CUT:
            self._take_back(CUT_S)
        else:
            self._take_answer(action is HostAction.ACCEPT)

    def _start_recording(self) -> None:
        if self._consented:
            self._tape.recording = Recording.ON
            self._begin_trace()
        else:
            self._ask(Page.CONSENT)

    def _pause(self) -> None:
        if self._tape.recording is Recording.ON:
            self._end_trace()
            self._tape.recording = Recording.PAUSED
        elif self._tape.recording is Recording.PAUSED:
            self._tape.recording = Recording.ON
            self._begin_trace()
        else:
            self._say("nothing to pause: not recording")

    def _ask(self, page: Page) -> None:
        self._question = page
        self._window.ask(page)

    def _take_answer(self, accepted: bool) -> None:
        question, self._question = self._question, Page.NONE
        if question is Page.CONSENT:
            self._consented = accepted
            if accepted:
                self._start_recording()
            else:
                self._say("not recording")
        elif accepted:
            self._take_back(self._config.hold_s)
        else:
            self._end_trace()
            self._begin_trace()

    def _reveal(self) -> None:
        recorded = self._tape.running
        self._tape.end_redaction()
        if recorded:
            self._begin_trace()
            self._say("recording again; the redacted part is stored grey")

    def _take_back(self, seconds: float) -> None:
        """Destroy the newest seconds of the recording, say so, and begin a new trace."""
        try:
            taken = self._tape.take_back(seconds)
        except OSError as error:
            self._say(f"not everything could be cut, cut again: {error}", _IMPORTANT_NS)
        else:
            self._say(in_words(taken), _IMPORTANT_NS)
        self._begin_trace()

    def _switch(self) -> None:
        if self._pair.frame_source == "simulator":
            self._end_trace()
            self._pair.to_real()
        else:
            # The trace's last state has to be read before the desktop changes.
            state = self._state()
            try:
                refusal = self._pair.to_simulator(self._seed)
            except SimulatorDied as death:
                refusal = str(death)
                self._pair.drop_simulator()
            self._switch_asked = refusal == STARTING
            if refusal:
                self._say(refusal)
                return
            self._tape.end(state)
        self._fresh = False
        self._fit()
        self._begin_trace()
        self._say("")

    def _simulator_came_up(self) -> bool:
        """Return whether a simulator that was waited for can be switched to now."""
        try:
            return self._switch_asked and self._pair.simulator_up
        except SimulatorDied as death:
            self._switch_asked = False
            self._pair.drop_simulator()
            self._say(str(death))
            return False

    def _fall_back(self, death: SimulatorDied) -> Frame:
        """Go on with the real desktop; what was meant for the simulator is dropped."""
        self._tape.end({})
        self._window.let_go(self._clock.monotonic_ns())
        self._pair.drop_simulator()
        self._fit()
        self._tape.gap()
        self._begin_trace()
        self._say(f"back on the real desktop: {death}")
        return self._pair.step(())

    def _reset(self) -> Frame:
        frame = self._pair.reset(self._seed)
        self._fresh = True
        if self._pair.frame_source == "real":
            self._tape.desktop_is_afresh()
        self._fit()
        if self._user is not None:
            self._user.reset(self._seed, self._pair.current.width_px, self._pair.current.height_px)
        return frame

    def _fit(self) -> None:
        self._window.fit(self._pair.current.width_px, self._pair.current.height_px)

    def _begin_trace(self) -> None:
        self._tape.begin(self._pair.current, self._pair.frame_source, self._seed, self._fresh)

    def _end_trace(self) -> None:
        if self._tape.running:
            self._tape.end(self._state())

    def _state(self) -> dict[str, Any]:
        """Return the desktop's state, empty where it died: its next step will say so."""
        try:
            return self._pair.state()
        except DesktopDied:
            return {}

    def _stop_when_disk_is_full(self, disk_left_bytes: int | None) -> None:
        least = self._config.min_disk_left_bytes
        if self._tape.running and disk_left_bytes is not None and disk_left_bytes < least:
            self._end_trace()
            self._tape.recording = Recording.OFF
            kept = self.tally.frames / self._config.fps
            self._say(
                f"recording stopped: less than {least / 1e6:.0f} MB left on the disk; "
                f"all {kept:.0f} s are kept",
                _IMPORTANT_NS,
            )

    def _say(self, message: str, for_ns: int = _MESSAGE_NS) -> None:
        self._message = message
        self._message_until_ns = self._clock.monotonic_ns() + for_ns

    def _show(self, frame: Frame) -> None:
        disk_left_bytes = self._telemetry.disk_left_bytes()
        self._stop_when_disk_is_full(disk_left_bytes)
        now_ns = self._clock.monotonic_ns()
        self._rate.note(now_ns)
        hud = HudState(
            recording=Recording.PAUSED if self._question is Page.DISCARD else self._tape.recording,
            recorded_s=self._tape.frames / self._config.fps,
            fps=self._rate.fps,
            target_fps=self._config.fps,
            late=self.tally.late,
            dropped=self.tally.lost_ns // self._pace.period_ns,
            redacting=self._tape.redacting,
            hold_s=self._config.hold_s,
            unacknowledged=self._telemetry.unacknowledged(),
            disk_left_bytes=disk_left_bytes,
            frame_source=self._pair.frame_source,
            label=self._pair.current.label,
            training=self._telemetry.training(),
            message=self._message if now_ns < self._message_until_ns else "",
        )
        self._window.show(frame, hud)
