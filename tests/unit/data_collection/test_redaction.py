"""Redaction and cutting: what a person hides or takes back is nowhere."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from recorder_desk import Desk, events_of, fills, kinds
from trace_samples import sample_header

from data_collection.desktops.pair import WARM_FRAMES
from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    Marker,
    PointerMoved,
    TextTyped,
)
from data_collection.recording.redaction import BLANK
from data_collection.storage.codec import decode_clip, encode_clip
from data_collection.storage.store import EncodedClip
from data_collection.streaming.clip_checks import check_clip
from data_collection.trace import Clip, Consent
from data_collection.window.hotkeys import HostAction
from data_collection.window.hud import Recording

SECRET = (
    PointerMoved(40, 41),
    ButtonChanged(Button.LEFT, True, 40, 41),
    ButtonChanged(Button.LEFT, False, 42, 43),
    KeyChanged(22, "s", True),
    TextTyped("s"),
    KeyChanged(22, "s", False),
    # Where the pointer stands afterwards is on the screen, and how the next trace begins.
    PointerMoved(9, 9),
)


def typing(desk: Desk, first: int, end: int) -> dict[int, Callable[[], None]]:
    """Return a script that types the secret in each tick from first to end."""
    return {n: desk.post(*SECRET) for n in range(first, end)}


def secret_events(clips: list[Clip]) -> list[Event]:
    return [
        event
        for event in events_of(clips)
        if isinstance(event, TextTyped)
        or getattr(event, "scancode", None) == 22
        or getattr(event, "x_px", None) in (40, 42)
    ]


def test_what_happens_while_the_key_is_held_is_stored_grey_and_without_events(desk: Desk) -> None:
    script = {2: desk.post(PointerMoved(9, 9)), **typing(desk, 11, 39)}
    script |= {10: desk.hold, 40: desk.release, 45: desk.post(PointerMoved(7, 7))}
    desk.run(60, script)
    first, second = desk.sink.headers
    # The key went down in tick 10 and up in tick 40: the frames of both are blanked.
    assert fills(desk.sink.clips_of(first)) == [*range(1, 11), *[BLANK] * 31]
    assert fills(desk.sink.clips_of(second)) == list(range(42, 61))
    assert not secret_events(desk.sink.clips)
    assert len(desk.real.groups[20]) == len(SECRET), "the desktop took the input all the same"
    clips = desk.sink.clips_of(first)
    assert [clip.redacted for clip in clips] == [False, True, True, True]
    assert kinds(clips) == ["reset", "redact_start", "redacted", "redact_end"]
    assert kinds(desk.sink.clips_of(second)) == ["resume"]
    assert {hud.redacting for hud in desk.shown[12:38]} == {True}
    assert not desk.shown[42].redacting
    for clip in clips[1:]:
        assert (clip.frames == BLANK).all()


def test_a_redacted_clip_passes_the_checks_and_is_never_a_target(desk: Desk) -> None:
    desk.run(60, {5: desk.hold, 50: desk.release, **typing(desk, 6, 49)}, consent=Consent.SYNTHETIC)
    assert len(desk.sink.clips) > 4
    for clip in desk.sink.clips:
        header = next(one for one in desk.sink.headers if one.trace_id == clip.trace_id)
        assert check_clip(clip, header) is None
        body = encode_clip(clip)
        assert (EncodedClip.of(decode_clip(body), body).weight == 0) is clip.redacted


def test_the_state_would_tell_what_was_typed_and_stays_out_until_a_reset(desk: Desk) -> None:
    script = {20: desk.hold, 40: desk.release, 70: desk.press(HostAction.RESET)}
    desk.run(90, script)
    before, after, fresh = desk.sink.headers
    assert [clip.state for clip in desk.sink.clips_of(before)] == [
        {"ticks": 15},
        {"ticks": 20},
        {},
        {},
    ]
    assert {str(clip.state) for clip in desk.sink.clips_of(after)} == {"{}"}
    assert [clip.state for clip in desk.sink.clips_of(fresh)] == [{"ticks": 15}, {"ticks": 19}]


def test_keys_are_balanced_around_a_redaction(desk: Desk) -> None:
    down = (KeyChanged(4, "a", True), ButtonChanged(Button.LEFT, True, 3, 3))
    script: dict[int, Callable[[], None]] = {3: desk.post(*down), 6: desk.hold, 30: desk.release}
    # One key goes down while redacting and up after it: neither is stored.
    script |= {20: desk.post(KeyChanged(22, "s", True)), 35: desk.post(KeyChanged(22, "s", False))}
    desk.run(45, script)
    assert not secret_events(desk.sink.clips)
    for header in desk.sink.headers:
        events = events_of(desk.sink.clips_of(header))
        changes = [e.down for e in events if isinstance(e, (KeyChanged, ButtonChanged))]
        assert sorted(changes) == sorted(not change for change in changes)
    releases = [
        e for e in events_of(desk.sink.clips) if isinstance(e, ButtonChanged) and not e.down
    ]
    assert [(e.x_px, e.y_px) for e in releases] == [(3, 3)]
    stamps = [e.t_mono_ns for e in events_of(desk.sink.clips_of(desk.sink.headers[0]))]
    assert all(a <= b for a, b in itertools.pairwise(stamps))


def test_a_trace_that_begins_under_redaction_says_so(desk: Desk) -> None:
    script = {
        5: desk.hold,
        6: desk.press(HostAction.RESET),
        30: desk.release,
        **typing(desk, 8, 28),
    }
    desk.run(40, script, consent=Consent.SYNTHETIC)
    _first, second, third = desk.sink.headers
    assert kinds(desk.sink.clips_of(second))[:2] == ["reset", "redact_start"]
    assert third.follows == "", "what was not stored cannot be replayed"
    assert not secret_events(desk.sink.clips)


def test_a_simulator_does_not_go_on_from_redacted_frames(desk: Desk) -> None:
    simulator = desk.simulator
    script = {30: desk.hold, 50: desk.press(HostAction.SWITCH), 55: desk.release}
    desk.run(60, script)
    assert simulator is not None
    assert simulator.warm_frames == []  # type: ignore[attr-defined]
    script = {30: desk.hold, 40: desk.release, 45: desk.press(HostAction.SWITCH)}
    desk.run(60, script)
    assert 0 < len(simulator.warm_frames) < WARM_FRAMES  # type: ignore[attr-defined]


def test_a_tap_cuts_the_last_thirty_seconds_across_traces(desk: Desk) -> None:
    press = desk.press(HostAction.PAUSE)
    tap = desk.press(HostAction.REDACT)
    # 600 frames, a pause, 200 frames: the tap takes the 200 and 17 whole clips before them.
    desk.run(905, {600: press, 650: press, 850: tap})
    first, _second, third = desk.sink.headers
    assert {header.trace_id for header in desk.sink.headers[1:2]} == {
        trace for trace, _ in desk.sink.withdrawn[-13:]
    }
    kept = desk.sink.clips_of(first)
    assert [clip.seq for clip in kept] == list(range(len(kept)))
    assert 800 - 30 * 15 - 15 <= len(fills(kept)) <= 800 - 30 * 15
    assert desk.recorder.tally.traces == [first.trace_id, third.trace_id]
    assert desk.recorder.tally.withdrawn_clips == len(desk.sink.withdrawn)
    assert desk.recorder.tally.frames == len(fills(desk.sink.clips))
    assert "cut the last 30." in desk.shown[-1].message
    assert "withdrawn; what was learned stays" in desk.shown[-1].message
    assert third.follows == ""


def test_each_further_tap_cuts_what_lies_before(desk: Desk) -> None:
    tap = desk.press(HostAction.REDACT)
    desk.run(1000, {980: tap, 985: tap, 990: tap})
    assert len(fills(desk.sink.clips)) <= 15
    assert "nothing to cut" not in desk.shown[-1].message


def test_a_tap_after_recording_stopped_still_cuts(desk: Desk) -> None:
    stop, tap = desk.press(HostAction.RECORD), desk.press(HostAction.REDACT)
    desk.run(80, {40: stop, 70: tap})
    assert desk.sink.clips == []
    assert desk.shown[-1].recording is Recording.OFF
    assert desk.recorder.tally.traces == []


def test_without_a_recording_the_key_says_so(desk: Desk) -> None:
    script = {5: desk.hold, 20: desk.release, 30: desk.press(HostAction.REDACT)}
    desk.run(40, script, record_from_start=False)
    assert "not recording" in desk.shown[8].message
    assert "nothing was recorded" in desk.shown[-1].message


def test_a_cut_that_fails_says_so_and_can_be_repeated(desk: Desk) -> None:
    def refuse() -> None:
        desk.sink.refusal = OSError("no space left on device")

    def relent() -> None:
        desk.sink.refusal = None

    tap = desk.press(HostAction.REDACT)
    script = {40: refuse, 41: tap, 42: relent, 44: tap}
    desk.run(46, script)
    assert any("cut again: no space left" in hud.message for hud in desk.shown)
    assert [trace for trace, _ in desk.sink.withdrawn] == [desk.sink.headers[0].trace_id] * 2


def test_a_marker_of_redaction_outweighs_what_the_pixels_show() -> None:
    from trace_samples import sample_clip

    clip = sample_clip(0)
    body = encode_clip(clip)
    assert EncodedClip.of(clip, body).weight > 0
    events = (*clip.events[:-1], (Marker("redacted"),))
    assert EncodedClip.of(replace(clip, events=events), body).weight == 0
    assert sample_header().trace_id == clip.trace_id


@pytest.mark.parametrize("ticks", [1, 3])
def test_a_tap_within_the_first_second_leaves_nothing(desk: Desk, ticks: int) -> None:
    desk.run(10, {5: desk.hold, 5 + ticks: desk.release, **typing(desk, 1, 5)})
    assert not secret_events(desk.sink.clips)
    assert fills(desk.sink.clips) == list(range(7 + ticks, 11))
