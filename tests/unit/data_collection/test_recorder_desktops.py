"""The recorder with two desktops: switching, waiting, and the death of one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from recorder_desk import Desk, events_of, fills, kinds
from window_fakes import (
    FakeSimulator,
)

from data_collection.desktops.process import DesktopDied
from data_collection.events import Marker, PointerMoved
from data_collection.window.hotkeys import HostAction


def test_switching_hands_the_last_real_frames_to_the_simulator(desk: Desk) -> None:
    simulator = desk.simulator
    assert isinstance(simulator, FakeSimulator)
    script = {n: desk.post(PointerMoved(n, 7)) for n in range(20)}
    script[20] = desk.press(HostAction.SWITCH)
    script[30] = desk.press(HostAction.SWITCH)
    desk.run(40, script)
    assert [int(frame[0, 0, 0]) for frame in simulator.warm_frames] == list(range(6, 22))
    assert [action.x_px for action in simulator.warm_actions] == [*range(5, 20), 19]
    real, simulated, real_again = desk.sink.headers
    assert (real.frame_source, real_again.frame_source) == ("real", "real")
    assert (simulated.frame_source, simulated.checkpoint) == ("simulator", "simulator: step 240")
    assert simulated.desktop == "simulator"
    assert fills(desk.sink.clips_of(simulated)) == list(range(101, 111))
    # The real desktop was left as it stood.
    assert fills(desk.sink.clips_of(real_again)) == list(range(22, 31))
    assert desk.shown[25].frame_source == "simulator"
    assert desk.shown[25].label == "simulator: step 240"
    assert simulator.closed
    assert not desk.real.closed


def test_new_weights_in_the_simulator_are_marked_in_the_trace(desk: Desk) -> None:
    simulator = desk.simulator
    assert isinstance(simulator, FakeSimulator)

    def swap() -> None:
        simulator.label = "simulator: step 250"

    desk.run(20, {4: desk.press(HostAction.SWITCH), 10: swap})
    markers = [e for e in events_of(desk.sink.clips) if isinstance(e, Marker)]
    assert [(m.kind, m.note) for m in markers][2:] == [("checkpoint", "simulator: step 250")]


def test_without_a_checkpoint_the_switch_says_so_and_nothing_changes(desk: Desk) -> None:
    desk.simulator = None
    desk.run(20, {4: desk.press(HostAction.SWITCH)})
    assert len(desk.sink.headers) == 1
    assert fills(desk.sink.clips) == list(range(1, 21))
    assert "no checkpoint yet" in desk.shown[6].message


class SlowSimulator(FakeSimulator):
    """A remote simulator: up when it is told so, and mortal."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = False
        self.on_wait: Callable[[], None] | None = None


def test_a_simulator_that_starts_slowly_is_switched_to_when_it_is_up(desk: Desk) -> None:
    simulator = desk.simulator = SlowSimulator()

    def up() -> None:
        simulator.ready = True

    desk.run(30, {4: desk.press(HostAction.SWITCH), 14: up})
    assert "starting" in desk.shown[8].message
    assert desk.shown[16].message == ""
    real, simulated = desk.sink.headers
    assert fills(desk.sink.clips_of(real)) == list(range(1, 16))
    assert simulated.frame_source == "simulator"


def test_a_window_can_begin_on_the_simulator(desk: Desk) -> None:
    simulator = desk.simulator = SlowSimulator()

    def up() -> None:
        simulator.ready = True

    desk.run(30, {10: up}, start_on="simulator")
    assert desk.real.ticks == 0
    assert "starting" in desk.shown[5].message
    (header,) = desk.sink.headers
    assert header.frame_source == "simulator"
    assert len(simulator.warm_frames) == 1


def test_beginning_on_a_simulator_that_is_not_there_is_refused(desk: Desk) -> None:
    desk.simulator = None
    with pytest.raises(DesktopDied, match="no checkpoint yet"):
        desk.run(30, start_on="simulator")


def test_input_goes_on_while_a_remote_desktop_computes(desk: Desk) -> None:
    simulator = desk.simulator = SlowSimulator()
    simulator.ready = True
    stamps: list[int] = []

    def compute() -> None:
        desk.window.post([PointerMoved(11, 11)])
        desk.clock.now_ns += 4_000_000
        stamps.append(desk.clock.now_ns)
        assert simulator.on_wait is not None
        simulator.on_wait()
        desk.clock.now_ns += 40_000_000

    simulator.at_step = compute
    desk.run(12, {1: desk.press(HostAction.SWITCH)})
    clips = desk.sink.clips_of(desk.sink.headers[1])
    moves = [e.t_mono_ns for e in events_of(clips) if isinstance(e, PointerMoved)]
    assert moves == stamps[:-1]


def test_a_dead_simulator_gives_way_to_the_real_desktop(desk: Desk) -> None:
    simulator = desk.simulator
    assert isinstance(simulator, FakeSimulator)

    def die() -> None:
        if simulator.ticks == 7:
            raise DesktopDied("simulator: no answer for 20 s")

    simulator.at_step = die
    desk.run(30, {4: desk.press(HostAction.SWITCH), 13: desk.press(HostAction.SWITCH)})
    _real, simulated, after = desk.sink.headers[:3]
    assert fills(desk.sink.clips_of(simulated)) == list(range(101, 107))
    assert after.frame_source == "real"
    assert kinds(desk.sink.clips_of(after)) == ["resume"]
    assert any("no answer for 20 s" in hud.message for hud in desk.shown)
    assert simulator.closed


def test_a_dead_real_desktop_ends_the_run_and_keeps_what_was_recorded(desk: Desk) -> None:
    def die() -> None:
        if desk.real.ticks == 20:
            raise DesktopDied("x11: its process ended")

    desk.real.at_step = die
    with pytest.raises(DesktopDied, match="x11"):
        desk.run(30)
    assert len(fills(desk.sink.clips)) == 19


def test_traces_name_the_one_at_whose_end_the_real_desktop_stood(desk: Desk) -> None:
    desk.run(45, {tick: desk.press(HostAction.SWITCH) for tick in (8, 16, 24, 32)})
    real, simulated, real_again, simulated_again, last = desk.sink.headers
    assert real.follows == ""
    assert (simulated.follows, real_again.follows) == (real.trace_id, real.trace_id)
    assert (simulated_again.follows, last.follows) == (real_again.trace_id, real_again.trace_id)
    for header, before in ((simulated, real), (real_again, real), (last, real_again)):
        frames = sum(len(clip.frames) for clip in desk.sink.clips_of(before))
        assert header.follows_frames == frames > 0


def test_a_trace_follows_none_when_something_between_was_not_recorded(desk: Desk) -> None:
    script = {tick: desk.press(HostAction.PAUSE) for tick in (8, 12)}
    desk.run(30, {**script, 18: desk.press(HostAction.SWITCH)})
    before, after, simulated = desk.sink.headers
    assert (before.follows, after.follows) == ("", "")
    assert simulated.follows == after.trace_id


def test_a_discard_leaves_no_trace_to_follow(desk: Desk) -> None:
    script = {40: desk.press(HostAction.DISCARD), 42: desk.answer("return")}
    desk.run(60, script, hold_s=1)
    assert [header.follows for header in desk.sink.headers] == ["", ""]


def test_a_simulator_that_is_reset_begins_a_trace_of_its_own(desk: Desk) -> None:
    script = {tick: desk.press(HostAction.SWITCH) for tick in (8, 24)}
    desk.run(30, {**script, 16: desk.press(HostAction.RESET)})
    real, simulated, reset, last = desk.sink.headers
    assert (simulated.follows, reset.follows) == (real.trace_id, "")
    assert last.follows == real.trace_id
    assert kinds(desk.sink.clips_of(reset)) == ["reset"]
