"""A real window under Xvfb: what a hand did is what is stored, and what it took back is not."""

from __future__ import annotations

import contextlib
import functools
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI

from data_collection.clock import SystemClock
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    PointerMoved,
    TextTyped,
    WheelTurned,
)
from data_collection.recording.redaction import BLANK
from data_collection.storage.codec import ClipCorrupt, decode_clip
from data_collection.storage.store import TraceStore, read_clip
from data_collection.streaming.ingest import IngestService
from data_collection.streaming.ingest_routes import create_router
from data_collection.trace import FPS, Clip, ClipState, Frame
from tests.e2e.harness import Running, running, until
from tests.e2e.screen import RIGHT_CTRL_KEYCODE, Hand, display, xdotool

pytestmark = pytest.mark.needs("Xvfb", "xdotool", "openbox")

PLACES = [(60 + 11 * n, 90 + 7 * n) for n in range(30)]
"""Where the hand goes, one after the other; each step ends on another pixel."""
KEYS = "helloworld"
WHEEL = [4, 4, 5]
"""X buttons: two notches up, one down."""


@dataclass
class Place:
    """Where a window records to: a folder, or a server with a store behind it."""

    root: Path
    words: list[str]
    spool: Path | None = None
    store: TraceStore | None = None

    def clips(self) -> dict[str, list[Clip]]:
        """Return the clips that stand, by trace in the order in which they began."""
        store = self.store or TraceStore.open(self.root)
        try:
            store.purge()
            rows = [
                row
                for trace in store.index.traces()
                for row in store.index.trace_rows(trace.header.trace_id)
                if row.state is ClipState.COMMITTED
            ]
        finally:
            if self.store is None:
                store.close()
        found: dict[str, list[Clip]] = {}
        for row in rows:
            found.setdefault(row.trace_id, []).append(read_clip(self.root, row))
        return found

    def bytes_everywhere(self) -> list[bytes]:
        """Return the content of every file that the recording left on this machine."""
        roots = [self.root, *([self.spool] if self.spool else [])]
        return [path.read_bytes() for root in roots for path in root.rglob("*") if path.is_file()]


@contextlib.contextmanager
def ingest(store: TraceStore) -> Iterator[str]:
    """Serve a store's ingest; yield its address."""
    app = FastAPI()
    app.include_router(
        create_router(IngestService(store, SystemClock()), lambda role: lambda: None)
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, "the server")
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(params=["out", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    root = tmp_path / "traces"
    if request.param == "out":
        yield Place(root, ["--out", str(root)])
        return
    (tmp_path / "token").write_text("a-token")
    store = TraceStore.open(root)
    try:
        with ingest(store) as url:
            spool = tmp_path / "spool"
            words = [
                "--server",
                url,
                "--token-file",
                str(tmp_path / "token"),
                "--spool",
                str(spool),
            ]
            yield Place(root, words, spool, store)
    finally:
        store.close()


@contextlib.contextmanager
def window_on(name: str, place: Place, *words: str) -> Iterator[tuple[Running, Hand]]:
    """Open the recording window and accept; yield it with a hand at rest over the desktop."""
    command = ["record", *place.words, "--json", *words]
    with running(*command, env={"DISPLAY": name}) as window:
        hand = Hand.on(name, window.process.pid)
        hand.move(20, 350)
        hand.key("Return")
        time.sleep(0.5)
        yield window, hand


def events_of(clips: list[Clip]) -> list[Event]:
    return [event for clip in clips for group in clip.events for event in group]


def use(hand: Hand) -> None:
    """Move, scroll, click and type, each a known number of times."""
    steps: list[str] = []
    for x_px, y_px in PLACES:
        steps += ["mousemove", "--window", hand.window, str(x_px * hand.scale)]
        steps += [str(y_px * hand.scale), "sleep", "0.02"]
    xdotool(hand.display, *steps)
    for button in WHEEL:
        hand.click(button=button)
    hand.click(times=2)
    hand.click(button=3)
    hand.key("Escape")
    for letter in KEYS:
        hand.key(letter)
    time.sleep(0.3)


def steal_focus(hand: Hand) -> None:
    """Hold a key and a button down, and take the focus away from the window."""
    xdotool(hand.display, "keydown", "z", "mousedown", "1")
    time.sleep(0.3)
    root = xdotool(hand.display, "search", "--maxdepth", "0", "").split("\n")[0]
    xdotool(hand.display, "windowfocus", root)
    time.sleep(0.3)
    xdotool(hand.display, "keyup", "z", "mouseup", "1")
    xdotool(hand.display, "windowfocus", "--sync", hand.window)
    time.sleep(0.3)


def test_what_the_hand_did_is_what_is_stored(place: Place) -> None:
    before_ns = time.monotonic_ns()
    with display() as name, window_on(name, place) as (window, hand):
        use(hand)
        steal_focus(hand)
        done = window.end()
    assert done.status == 130, done.stderr
    ((trace_id, clips),) = place.clips().items()
    assert done.json["traces"] == [trace_id]
    assert done.json["frames"] == sum(len(clip.frames) for clip in clips)
    assert done.json["clips"] == done.json["acknowledged"] == len(clips)
    check_counts(events_of(clips))
    check_times(clips, before_ns, done.json["late"])
    check_frames(clips)


def check_counts(events: list[Event]) -> None:
    """Every move, press, turn and key is there once, at its pixel and in order; none hangs."""
    moves = [(one.x_px, one.y_px) for one in events if isinstance(one, PointerMoved)]
    assert moves[moves.index(PLACES[0]) :] == PLACES
    turns = [one.dy for one in events if isinstance(one, WheelTurned)]
    assert turns == [1, 1, -1]
    buttons = [
        (one.button.value, one.down, one.x_px, one.y_px)
        for one in events
        if isinstance(one, ButtonChanged)
    ]
    pressed = ["left", "left", "right", "left"]
    assert buttons == [(name, down, *PLACES[-1]) for name in pressed for down in (True, False)]
    keys = [(one.keysym, one.down) for one in events if isinstance(one, KeyChanged)]
    names = ["escape", *KEYS, "z"]
    assert keys == [(name, down) for name in names for down in (True, False)]
    assert "".join(one.text for one in events if isinstance(one, TextTyped)) == KEYS + "z"
    assert [one.seq for one in events] == list(range(len(events)))
    lost = next(
        index for index, one in enumerate(events) if getattr(one, "kind", "") == "focus_lost"
    )
    assert not any(getattr(one, "down", False) for one in events[lost:])


def check_times(clips: list[Clip], before_ns: int, late: int) -> None:
    """Frames follow each other at the rate; no event stands in an earlier or later frame."""
    due_ns = [t for clip in clips for t in clip.t_mono_ns]
    period_ns = 10**9 // FPS
    assert all(b - a >= period_ns for a, b in pairwise(due_ns))
    last_ns = before_ns
    for index, group in enumerate(group for clip in clips for group in clip.events):
        for event in group:
            assert event.t_mono_ns >= last_ns
            last_ns = event.t_mono_ns
            # A frame has what came since the one before was begun, when it was due or later …
            assert index == 0 or event.t_mono_ns >= due_ns[index - 1]
            # … until it was begun itself, which is told where it was late.
            assert late or event.t_mono_ns <= due_ns[index] + period_ns // 2


def check_frames(clips: list[Clip]) -> None:
    """The stored events, replayed from the reset, give the stored frames, bit for bit."""
    desktop = ScriptedDesktop()
    desktop.reset(0)
    for clip in clips:
        for frame, group in zip(clip.frames, clip.events, strict=True):
            np.testing.assert_array_equal(desktop.step(group), frame)


SECRET = "xylophone"
_HEAD = struct.Struct("<4sHHIIIII")


def terminal() -> tuple[int, int]:
    """Return where the terminal's icon is."""
    icon = next(one for one in ScriptedDesktop().state()["icons"] if one["app"] == "Terminal")
    x_px, y_px, width_px, height_px = icon["rect"]
    return x_px + width_px // 2, y_px + height_px // 2


def typed() -> list[Event]:
    """Return the events that type the secret."""
    events: list[Event] = []
    for letter in SECRET:
        code = ord(letter) - ord("a") + 4
        events += [
            KeyChanged(code, letter, True),
            TextTyped(letter),
            KeyChanged(code, letter, False),
        ]
    return events


@functools.cache
def secret_picture() -> tuple[slice, slice, Frame]:
    """Return where the terminal shows the secret, and what is seen there."""
    desktop = ScriptedDesktop()
    desktop.reset(0)
    click = [ButtonChanged(Button.LEFT, down, *terminal()) for down in (True, False)]
    desktop.step([*click, *click])
    frames = [desktop.step([]) for _ in range(90)]
    after = desktop.step(typed()[:-9])
    changed = np.argwhere((after != frames[-1]).any(axis=2))
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    place = slice(top, bottom + 1), slice(left, right - 12)
    return *place, after[place]


def shows_picture(clip: Clip) -> bool:
    """Tell whether the terminal shows the secret in a frame of a clip."""
    rows, columns, picture = secret_picture()
    return any((frame[rows, columns] == picture).all() for frame in clip.frames)


def tells_secret(clip: Clip) -> bool:
    """Tell whether a clip has the secret in its events or its state."""
    # No other word that is typed here has these letters.
    typed = {
        getattr(event, "text", "") or getattr(event, "keysym", "") for event in events_of([clip])
    }
    return bool({"x", "y"} & typed) or SECRET[:4] in str(clip.state)


def clips_anywhere(place: Place) -> list[Clip]:
    """Return every clip that can be decoded from any file of the recording, whoever knows it."""
    found = []
    for content in place.bytes_everywhere():
        at = content.find(b"NCLP")
        while at >= 0:
            sizes = _HEAD.unpack_from(content[at:].ljust(_HEAD.size, b"\0"))
            end = at + _HEAD.size + sizes[6] + sizes[7] + 4
            with contextlib.suppress(ClipCorrupt):
                found.append(decode_clip(content[at:end]))
            at = content.find(b"NCLP", at + 1)
    return found


def is_gone(place: Place) -> bool:
    """Tell whether no file has the secret's keys any more, once withdrawn bytes are destroyed."""
    if place.store is not None:
        place.store.purge()
    return not any(tells_secret(clip) for clip in clips_anywhere(place))


def open_terminal(hand: Hand) -> None:
    hand.move(*terminal())
    hand.click(times=2)
    time.sleep(3.5)


def type_secret(hand: Hand) -> None:
    xdotool(hand.display, "type", "--delay", "40", SECRET)
    time.sleep(0.4)


def hold_and_release(hand: Hand) -> None:
    """Type the secret while F8 is held, and start the desktop afresh before it is let go."""
    words = ["keydown", RIGHT_CTRL_KEYCODE, "keydown", "F8", "keyup", RIGHT_CTRL_KEYCODE]
    xdotool(hand.display, *words)
    time.sleep(0.2)
    type_secret(hand)
    hand.host_key("F5")
    time.sleep(0.2)
    xdotool(hand.display, "keyup", "F8")
    time.sleep(0.3)


def test_what_is_cut_or_redacted_is_nowhere(place: Place) -> None:
    with display() as name, window_on(name, place, "--hold", "1") as (window, hand):
        open_terminal(hand)
        type_secret(hand)
        time.sleep(2.5)
        before = clips_anywhere(place)
        assert any(shows_picture(clip) for clip in before), "it was on the disk"
        assert any(tells_secret(clip) for clip in before), "its keys were, too"
        hand.host_key("F5")
        hand.host_key("F8")
        until(lambda: is_gone(place), "the cut")
        hand.key("o")
        # What is pressed in the period in which F8 goes down is redacted with it.
        time.sleep(0.5)
        hold_and_release(hand)
        time.sleep(0.7)
        hand.key("p")
        time.sleep(0.7)
        done = window.end()
    assert done.status == 130, done.stderr
    traces = place.clips()
    assert list(traces) == done.json["traces"]
    assert done.json["withdrawn"] >= len(before)
    kept = clips_anywhere(place)
    assert len(kept) == sum(map(len, traces.values())), "withdrawn bytes are destroyed"
    assert not any(shows_picture(clip) or tells_secret(clip) for clip in kept)
    keys = [getattr(event, "keysym", "") for clip in kept for event in events_of([clip])]
    assert {"o", "p"} <= set(keys), "what came after the cut, and after the redaction, is kept"
    assert any(clip.redacted for clip in kept)
    assert all((clip.frames == BLANK).all() == clip.redacted for clip in kept)


@pytest.mark.nightly
@pytest.mark.needs("pcmanfm", "xterm")
def test_a_window_at_a_real_desktop_stores_what_the_hand_did(place: Place) -> None:
    def recording() -> bool:
        """Accept once the desktop is up and the page is there; say whether a clip has come."""
        hand.key("Return")
        roots = [place.root, *([place.spool] if place.spool else [])]
        return any(path.suffix in (".clip", ".mcap") for root in roots for path in root.rglob("*"))

    with display() as name, window_on(name, place, "--desktop", "x11") as (window, hand):
        until(recording, "the first clip")
        hand.move(46, 40)
        hand.click(times=2)
        time.sleep(6.0)
        done = window.end()
    assert done.status == 130, done.stderr
    ((_, clips),) = place.clips().items()
    assert done.json["frames"] == sum(len(clip.frames) for clip in clips)
    presses = [e for e in events_of(clips) if isinstance(e, ButtonChanged) and e.down]
    assert [(press.x_px, press.y_px) for press in presses] == [(46, 40)] * 2
    assert clips[-1].state["windows"], "a double click on an icon opens a window"
    assert (clips[-1].frames[-1] != clips[0].frames[0]).any()
