"""The recorder: which frames and events end up in which clip of which trace."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pygame
import pytest
from recorder_desk import Desk, events_of, fills, kinds
from window_fakes import (
    HEIGHT_PX,
    WIDTH_PX,
)

from data_collection.events import Button, ButtonChanged, Event, KeyChanged, Marker, PointerMoved
from data_collection.storage.sink import SinkError
from data_collection.trace import Consent
from data_collection.window.hotkeys import HostAction
from data_collection.window.hud import Page, Recording


def test_clips_have_fifteen_frames_and_the_events_that_led_to_each(desk: Desk) -> None:
    moves = {
        n: desk.post(PointerMoved(n, 1), PointerMoved(n, 2), KeyChanged(4, "a", n % 2 == 0))
        for n in range(1, 35)
    }
    recorder = desk.run(35, moves)
    assert [len(clip.frames) for clip in desk.sink.clips] == [15, 15, 5]
    assert [(clip.seq, clip.first_frame) for clip in desk.sink.clips] == [(0, 0), (1, 15), (2, 30)]
    assert fills(desk.sink.clips) == list(range(1, 36))
    groups = [group for clip in desk.sink.clips for group in clip.events]
    for n in range(1, 35):
        places = [(e.x_px, e.y_px) for e in groups[n] if isinstance(e, PointerMoved)]
        assert places == [(n, 1), (n, 2)]
    assert [group[0] for group in groups[:1]] == [Marker("reset", "", groups[0][0].t_mono_ns, 0)]
    assert [clip.state for clip in desk.sink.clips] == [{"ticks": n} for n in (15, 30, 35)]
    tally = recorder.tally
    assert (tally.frames, tally.clips, tally.late, tally.lost_ns) == (35, 3, 0, 0)
    assert tally.traces == [desk.sink.headers[0].trace_id]


def test_the_desktop_took_exactly_what_the_trace_says(desk: Desk) -> None:
    desk.run(20, {n: desk.post(PointerMoved(n, n)) for n in range(20)})
    recorded = [list(group) for clip in desk.sink.clips for group in clip.events]
    stepped = [list(group) for group in desk.real.groups]
    assert [[type(e) for e in group] for group in recorded] == [
        [type(e) for e in group] for group in stepped
    ]
    assert [e.t_mono_ns for group in recorded for e in group] == [
        e.t_mono_ns for group in stepped for e in group
    ]


def test_events_are_numbered_densely_and_stamped_when_they_were_pumped(desk: Desk) -> None:
    stamps: list[int] = []

    def at_sleep() -> None:
        if len(stamps) < 100:
            desk.window.post([PointerMoved(len(stamps) % WIDTH_PX, 0)])
            stamps.append(desk.clock.now_ns)

    desk.clock.at_sleep = at_sleep
    desk.run(10)
    events = [e for e in events_of(desk.sink.clips) if isinstance(e, PointerMoved)]
    assert [event.t_mono_ns for event in events] == stamps
    assert max(b - a for a, b in itertools.pairwise(stamps)) <= 1e9 / 120
    everything = events_of(desk.sink.clips)
    assert [event.seq for event in everything] == list(range(len(everything)))


def test_the_header_says_who_what_and_when(desk: Desk) -> None:
    desk.run(3, source="explorer", policy="p1", versions={"python": "3"})
    (header,) = desk.sink.headers
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", header.trace_id)
    assert header.trace_id.startswith("20231114-2213")
    assert (header.desktop, header.source, header.policy) == ("fake", "explorer", "p1")
    assert (header.width_px, header.height_px, header.fps) == (WIDTH_PX, HEIGHT_PX, 15)
    assert (header.consent, header.seed) == (Consent.SYNTHETIC, 5)
    assert (header.frame_source, header.checkpoint) == ("real", "")
    assert header.wall_s(desk.sink.clips[0].t_mono_ns[0]) == pytest.approx(
        1_700_000_000 + desk.sink.clips[0].t_mono_ns[0] / 1e9
    )


def test_due_times_are_a_period_apart(desk: Desk) -> None:
    desk.run(30)
    times = [t for clip in desk.sink.clips for t in clip.t_mono_ns]
    assert {b - a for a, b in itertools.pairwise(times)} == {1_000_000_000 // 15}
    assert desk.recorder.fps == pytest.approx(15, rel=0.02)


def test_late_frames_are_counted_and_caught_up(desk: Desk) -> None:
    period_ns = 1_000_000_000 // 15

    def stall() -> None:
        if desk.real.ticks == 10:
            desk.clock.now_ns += 3 * period_ns

    desk.real.at_step = stall
    recorder = desk.run(30)
    assert (recorder.tally.late, recorder.tally.lost_ns) == (2, 0)
    assert fills(desk.sink.clips) == list(range(1, 31))
    times = [t for clip in desk.sink.clips for t in clip.t_mono_ns]
    assert times[-1] - times[0] == 29 * period_ns


def test_a_long_stall_is_given_up_and_reported(desk: Desk) -> None:
    period_ns = 1_000_000_000 // 15

    def stall() -> None:
        if desk.real.ticks == 10:
            desk.clock.now_ns += 21 * period_ns

    desk.real.at_step = stall
    recorder = desk.run(30)
    assert recorder.tally.late == 1
    assert recorder.tally.lost_ns == 20 * period_ns
    assert fills(desk.sink.clips) == list(range(1, 31))


def test_nothing_is_recorded_before_consent(desk: Desk) -> None:
    desk.run(20, consent=Consent.GIVEN)
    assert not desk.sink.headers
    assert not desk.sink.clips
    assert desk.window.page is Page.CONSENT
    assert desk.real.ticks == 0
    assert {hud.recording for hud in desk.shown} == {Recording.OFF}


def test_recording_starts_with_the_reset_once_consent_is_given(desk: Desk) -> None:
    script = {3: desk.post(PointerMoved(5, 5)), 6: desk.answer("return")}
    desk.run(12, script, consent=Consent.GIVEN)
    assert desk.sink.headers[0].consent is Consent.GIVEN
    assert fills(desk.sink.clips) == [1, 2, 3, 4, 5]
    assert kinds(desk.sink.clips) == ["reset", "consent"]
    assert [type(event) for event in events_of(desk.sink.clips)] == [Marker, Marker]


def test_without_consent_the_desktop_can_be_used_but_not_recorded(desk: Desk) -> None:
    script = {2: desk.answer("escape"), 5: desk.press(HostAction.RECORD), 8: desk.answer("return")}
    desk.run(12, script, consent=Consent.GIVEN)
    assert kinds(desk.sink.clips) == ["resume", "consent"]
    assert len(fills(desk.sink.clips)) == 3


def test_every_trace_of_a_person_begins_with_the_consent(desk: Desk) -> None:
    script = {3: desk.answer("return"), 9: desk.press(HostAction.RESET)}
    desk.run(20, script, consent=Consent.GIVEN)
    first, second = (clip for clip in desk.sink.clips if clip.seq == 0)
    assert kinds([first]) == kinds([second]) == ["reset", "consent"]


def test_record_starts_and_stops(desk: Desk) -> None:
    script = {4: desk.press(HostAction.RECORD), 24: desk.press(HostAction.RECORD)}
    desk.run(30, script, record_from_start=False)
    assert fills(desk.sink.clips) == list(range(6, 26))
    assert kinds(desk.sink.clips) == ["resume"]
    assert not [e for e in events_of(desk.sink.clips) if isinstance(e, KeyChanged)]


def test_a_pause_ends_the_trace_and_another_begins_after_it(desk: Desk) -> None:
    press = desk.press(HostAction.PAUSE)
    desk.run(40, {10: press, 20: press, 12: desk.post(PointerMoved(9, 9))})
    first, second = desk.sink.headers
    assert fills(desk.sink.clips_of(first)) == list(range(1, 12))
    assert fills(desk.sink.clips_of(second)) == list(range(22, 41))
    assert kinds(desk.sink.clips_of(first)) == ["reset", "pause"]
    opening = events_of(desk.sink.clips_of(second))
    assert [type(event) for event in opening] == [Marker, PointerMoved]
    assert (opening[1].x_px, opening[1].y_px) == (9, 9)  # type: ignore[union-attr]
    assert desk.sink.clips_of(second)[0].seq == 0


def test_no_trace_begins_or_ends_with_something_held(desk: Desk) -> None:
    down = (KeyChanged(4, "a", True), ButtonChanged(Button.LEFT, True, 3, 3))
    up = (KeyChanged(4, "a", False), ButtonChanged(Button.LEFT, False, 3, 3))
    desk.run(20, {3: desk.post(*down), 6: desk.press(HostAction.RESET), 9: desk.post(*up)})
    for header in desk.sink.headers:
        events = events_of(desk.sink.clips_of(header))
        changes = [e.down for e in events if isinstance(e, (KeyChanged, ButtonChanged))]
        assert changes in ([True, True, False, False], [])
    assert len(desk.sink.headers) == 2


def test_a_reset_takes_the_next_seed_and_begins_a_trace(desk: Desk) -> None:
    desk.run(20, {9: desk.press(HostAction.RESET)})
    assert desk.real.seeds == [5, 6]
    first, second = desk.sink.headers
    assert (first.seed, second.seed) == (5, 6)
    assert fills(desk.sink.clips_of(second)) == list(range(1, 11))
    assert kinds(desk.sink.clips_of(second)) == ["reset"]


def test_discard_asks_and_takes_what_was_not_handed_on(desk: Desk) -> None:
    script = {39: desk.press(HostAction.DISCARD), 42: desk.answer("return")}
    recorder = desk.run(50, script, hold_s=1.0)
    first, second = desk.sink.headers
    # 40 frames: clip 0 was handed on; clip 1 and the ten frames after it are gone.
    assert fills(desk.sink.clips_of(first)) == list(range(1, 16))
    assert desk.sink.clips_of(second)[0].first_frame == 0
    assert len(fills(desk.sink.clips_of(second))) == 7
    assert recorder.tally.frames == 22
    assert "cut the last 1.7 s, none of it sent" in {hud.message for hud in desk.shown}
    assert desk.shown[-1].recorded_s == pytest.approx(22 / 15)


def test_a_discard_that_is_declined_keeps_everything(desk: Desk) -> None:
    script = {39: desk.press(HostAction.DISCARD), 42: desk.answer("escape")}
    desk.run(50, script, hold_s=1.0)
    assert len(fills(desk.sink.clips_of(desk.sink.headers[0]))) == 40


def test_a_trace_discarded_whole_leaves_nothing(desk: Desk) -> None:
    script = {8: desk.press(HostAction.DISCARD), 9: desk.answer("return")}
    desk.run(12, script)
    (header,) = desk.sink.headers
    assert desk.recorder.tally.traces == [header.trace_id]
    assert len(fills(desk.sink.clips)) == 2


def test_a_full_disk_stops_recording_visibly(desk: Desk) -> None:
    def fill() -> None:
        desk.telemetry.disk = 1_000

    desk.run(30, {10: fill})
    assert len(fills(desk.sink.clips)) == 11
    assert desk.shown[-1].recording is Recording.OFF
    assert "recording stopped" in desk.shown[12].message


def test_a_sink_that_refuses_stops_recording_visibly(desk: Desk) -> None:
    def refuse() -> None:
        desk.sink.refusal = OSError("no space left on device")

    desk.run(40, {16: refuse})
    assert len(desk.sink.clips) == 1
    assert desk.shown[-1].recording is Recording.OFF
    assert "no space left on device" in desk.shown[-1].message


def test_what_the_sink_could_not_keep_after_all_is_not_counted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise SinkError("disk_full", "12 MB free", unkept=2)

    monkeypatch.setattr(desk.sink, "close", fail)
    recorder = desk.run(70)
    assert len(desk.sink.clips) == 5
    assert (recorder.tally.clips, recorder.tally.frames) == (3, 45)
    assert "disk_full" in str(recorder.failure)


def test_closing_the_window_ends_the_run(desk: Desk) -> None:
    def close() -> None:
        pygame.event.post(pygame.Event(pygame.QUIT))

    desk.run(1000, {4: close})
    assert len(fills(desk.sink.clips)) == 5


class CountingUser:
    """Moves the pointer to (ticks, ticks)."""

    name = "counting"
    goal = "count"

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def reset(self, seed: int, width_px: int, height_px: int) -> None:
        assert (width_px, height_px) == (WIDTH_PX, HEIGHT_PX)
        self.seeds.append(seed)

    def act(self, state: dict[str, Any]) -> list[Event]:
        return [PointerMoved(state["ticks"], state["ticks"])]

    def reached(self, state: dict[str, Any]) -> bool:
        return False


def test_a_scripted_user_goes_through_the_window(desk: Desk) -> None:
    user = CountingUser()
    desk.run(20, user=user)
    moves = [e for e in events_of(desk.sink.clips) if isinstance(e, PointerMoved)]
    assert [(e.x_px, e.y_px) for e in moves] == [(n, n) for n in range(1, 20)]
    assert all(event.t_mono_ns > 0 for event in moves)
    assert user.seeds == [5]
