"""The window: what becomes an event of the desktop, what stays the window's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pygame
import pytest

from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    Marker,
    PointerMoved,
    TextTyped,
    WheelTurned,
)
from data_collection.window.hotkeys import KEYS, HostAction
from data_collection.window.hud import HudState, Page
from data_collection.window.redact_press import TAP_NS
from data_collection.window.viewport import Viewport
from data_collection.window.window import (
    NoDisplay,
    Pumped,
    UnknownHostKey,
    Window,
    WindowConfig,
)

NOW_NS = 5_000


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window(WindowConfig(width_px=64, height_px=48, scale=10))
    window.open()
    window.pump(0)
    yield window
    window.close()


def key(window: Window, name: str, down: bool = True, scancode: int = 4) -> None:
    kind = pygame.KEYDOWN if down else pygame.KEYUP
    code = pygame.key.key_code(name)
    pygame.event.post(pygame.Event(kind, key=code, scancode=scancode, mod=0, unicode=""))


def mouse(kind: int, pos: tuple[int, int], button: int = 1) -> None:
    fields: dict[str, Any] = {"button": button}
    if kind == pygame.MOUSEMOTION:
        fields = {"rel": (0, 0), "buttons": (0, 0, 0)}
    pygame.event.post(pygame.Event(kind, pos=pos, touch=False, **fields))


def show(window: Window) -> None:
    window.show(np.zeros((48, 64, 3), np.uint8), HudState())


def test_viewport_scales_by_whole_numbers_and_letterboxes() -> None:
    view = Viewport.fit((1366, 768), (512, 384))
    assert view.scale == 1
    assert view.origin == (427, (view.hud[1] - 384) // 2)
    assert view.hud[1] + view.hud[3] == 768
    for point in [(0, 0), (511, 383), (17, 255)]:
        assert view.to_desktop(view.to_window(point)) == point


@pytest.mark.parametrize("scale", [1, 2, 3, 5])
def test_viewport_maps_every_window_pixel_of_a_desktop_pixel_to_it(scale: int) -> None:
    view = Viewport.fit(Viewport.window_size((64, 48), scale), (64, 48))
    assert view.scale == scale
    left, top = view.origin
    corners = [(left + 7 * scale, top + 9 * scale), (left + 8 * scale - 1, top + 10 * scale - 1)]
    assert [view.to_desktop(corner) for corner in corners] == [(7, 9), (7, 9)]
    assert not view.contains((left - 1, top)) or left == 0


def test_posted_events_come_back_exactly_and_stamped(window: Window) -> None:
    posted: list[Event] = [
        PointerMoved(63, 47),
        PointerMoved(0, 0),
        ButtonChanged(Button.RIGHT, True, 13, 21),
        ButtonChanged(Button.RIGHT, False, 14, 22),
        WheelTurned(0, -2),
        KeyChanged(4, "a", True),
        TextTyped("å"),
        KeyChanged(4, "a", False),
        KeyChanged(225, "Shift_L", True),
        KeyChanged(225, "Shift_L", False),
        Marker("goal", "reached"),
    ]
    window.post(posted)
    events = window.pump(NOW_NS).events
    assert {event.t_mono_ns for event in events} == {NOW_NS}
    window.post(events)
    assert window.pump(NOW_NS).events == events
    assert [type(event) for event in events] == [type(event) for event in posted]
    assert events[2] == ButtonChanged(Button.RIGHT, True, 13, 21, NOW_NS)
    assert events[8] == KeyChanged(225, "Shift_L", True, NOW_NS)


def test_a_scaled_letterboxed_window_reports_desktop_pixels(window: Window) -> None:
    window.fit(128, 96)  # half the scale, in the same window
    left, top = window.viewport.origin
    mouse(pygame.MOUSEMOTION, (left + 5 * 100 + 2, top + 5 * 40 + 4))
    assert window.pump(NOW_NS).events == (PointerMoved(100, 40, NOW_NS),)


def test_motion_outside_counts_only_during_a_drag_and_is_clamped(window: Window) -> None:
    outside = (300, 5000)
    mouse(pygame.MOUSEMOTION, outside)
    mouse(pygame.MOUSEBUTTONDOWN, outside)
    mouse(pygame.MOUSEBUTTONUP, outside)
    assert window.pump(NOW_NS) == Pumped()
    window.post([ButtonChanged(Button.LEFT, True, 20, 20)])
    mouse(pygame.MOUSEMOTION, outside)
    mouse(pygame.MOUSEBUTTONUP, outside)
    mouse(pygame.MOUSEMOTION, outside)
    assert window.pump(NOW_NS).events[1:] == (
        PointerMoved(30, 47, NOW_NS),
        ButtonChanged(Button.LEFT, False, 30, 47, NOW_NS),
    )


def test_the_wheel_over_the_hud_is_not_the_desktops(window: Window) -> None:
    mouse(pygame.MOUSEMOTION, (300, window.viewport.hud[1] + 3))
    window.post([WheelTurned(0, 1)])
    assert window.pump(NOW_NS).events == ()


def test_host_keys_give_commands_and_are_never_events(window: Window) -> None:
    for name, action in KEYS.items():
        if action in (HostAction.HELP, HostAction.FULL_SCREEN):
            continue
        key(window, "right ctrl", scancode=228)
        key(window, name, scancode=60)
        key(window, name, down=False, scancode=60)
        key(window, "right ctrl", down=False, scancode=228)
        tapped = (HostAction.CUT,) if action is HostAction.REDACT else ()
        assert window.pump(NOW_NS) == Pumped((), (action, *tapped))


def redact_key(window: Window, down: bool) -> None:
    key(window, "f8", down=down, scancode=65)


def test_holding_the_redacting_key_needs_no_host_key_and_ends_once(window: Window) -> None:
    key(window, "right ctrl", scancode=228)
    redact_key(window, down=True)
    key(window, "right ctrl", down=False, scancode=228)
    assert window.pump(NOW_NS).host_actions == (HostAction.REDACT,)
    # What is typed meanwhile is the desktop's, and a click does not let go of the key.
    window.post([KeyChanged(4, "a", True), ButtonChanged(Button.LEFT, True, 3, 4)])
    window.post([ButtonChanged(Button.LEFT, False, 3, 4), KeyChanged(4, "a", False)])
    assert len(window.pump(NOW_NS).events) == 4
    redact_key(window, down=False)
    assert window.pump(NOW_NS + 2 * TAP_NS) == Pumped((), (HostAction.REVEAL,))
    redact_key(window, down=False)
    assert window.pump(NOW_NS) == Pumped()


def test_a_lost_focus_does_not_end_a_redaction(window: Window) -> None:
    key(window, "right ctrl", scancode=228)
    redact_key(window, down=True)
    window.pump(NOW_NS)
    redact_key(window, down=False)
    pygame.event.post(pygame.Event(pygame.WINDOWFOCUSLOST))
    assert window.pump(NOW_NS).host_actions == ()
    key(window, "right ctrl", scancode=228)
    redact_key(window, down=True)
    assert window.pump(NOW_NS).host_actions == ()
    redact_key(window, down=False)
    assert window.pump(NOW_NS).host_actions == (HostAction.REVEAL,)


def test_nothing_typed_with_the_host_key_reaches_the_desktop(window: Window) -> None:
    key(window, "right ctrl", scancode=228)
    key(window, "c")
    pygame.event.post(pygame.Event(pygame.TEXTINPUT, text="c"))
    key(window, "c", down=False)
    key(window, "right ctrl", down=False, scancode=228)
    assert window.pump(NOW_NS) == Pumped()
    key(window, "f9", scancode=66)
    assert window.pump(NOW_NS).events == (KeyChanged(66, "f9", True, NOW_NS),)


def test_the_host_key_is_configurable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window(WindowConfig(width_px=64, height_px=48, scale=10, host_key="right alt"))
    window.open()
    window.pump(0)
    key(window, "right alt", scancode=230)
    key(window, "f6", scancode=63)
    assert window.pump(NOW_NS).host_actions == (HostAction.SWITCH,)
    window.close()
    unknown = Window(WindowConfig(host_key="right control"))
    with pytest.raises(UnknownHostKey, match="unknown host key 'right control'"):
        unknown.open()


def test_a_command_lets_go_of_what_is_held_once(window: Window) -> None:
    window.post([KeyChanged(4, "a", True), ButtonChanged(Button.LEFT, True, 3, 4)])
    window.pump(0)
    key(window, "right ctrl", scancode=228)
    key(window, "f9", scancode=66)
    pumped = window.pump(NOW_NS)
    assert pumped.host_actions == (HostAction.RECORD,)
    assert pumped.events == (
        ButtonChanged(Button.LEFT, False, 3, 4, NOW_NS),
        KeyChanged(4, "a", False, NOW_NS),
    )
    window.post([ButtonChanged(Button.LEFT, False, 3, 4), KeyChanged(4, "a", False)])
    assert window.pump(NOW_NS).events == ()


def test_focus_loss_releases_everything(window: Window) -> None:
    window.post([KeyChanged(4, "a", True), ButtonChanged(Button.LEFT, True, 3, 4)])
    window.pump(0)
    pygame.event.post(pygame.Event(pygame.WINDOWFOCUSLOST))
    assert window.pump(NOW_NS).events == (
        ButtonChanged(Button.LEFT, False, 3, 4, NOW_NS),
        KeyChanged(4, "a", False, NOW_NS),
        Marker("focus_lost", "", NOW_NS),
    )


def test_key_repeats_are_not_events(window: Window) -> None:
    window.post([KeyChanged(4, "a", True)] * 3 + [KeyChanged(4, "a", False)] * 2)
    assert [event.down for event in window.pump(0).events if isinstance(event, KeyChanged)] == [
        True,
        False,
    ]


def test_every_command_has_a_button_in_the_hud(window: Window) -> None:
    show(window)
    left, top, width, height = window.viewport.hud
    found: list[HostAction] = []
    for x_px in range(left, left + width, 4):
        mouse(pygame.MOUSEBUTTONDOWN, (x_px, top + height - 10))
        mouse(pygame.MOUSEBUTTONUP, (x_px, top + height - 10))
        pumped = window.pump(NOW_NS)
        assert pumped.events == ()
        found += pumped.host_actions
        if window.page is Page.HELP:
            found.append(HostAction.HELP)
            window.ask(Page.NONE)
        if window.viewport.hud != (left, top, width, height):
            found.append(HostAction.FULL_SCREEN)
            key(window, "right ctrl", scancode=228)
            key(window, "f11", scancode=68)
            key(window, "right ctrl", down=False, scancode=228)
            window.pump(NOW_NS)
            assert window.viewport.hud == (left, top, width, height)
            show(window)
            window.pump(NOW_NS)  # SDL tells where the pointer is in the window it made
    assert set(found) == {*KEYS.values(), HostAction.CUT}


def test_a_page_takes_the_input_until_it_is_answered(window: Window) -> None:
    window.ask(Page.CONSENT)
    show(window)
    key(window, "a")
    pygame.event.post(pygame.Event(pygame.TEXTINPUT, text="a"))
    key(window, "a", down=False)
    mouse(pygame.MOUSEMOTION, (300, 200))
    mouse(pygame.MOUSEBUTTONDOWN, (3, 3))
    mouse(pygame.MOUSEBUTTONUP, (3, 3))
    key(window, "right ctrl", scancode=228)
    key(window, "f9", scancode=66)
    key(window, "right ctrl", down=False, scancode=228)
    assert window.pump(NOW_NS) == Pumped()
    key(window, "return", scancode=40)
    key(window, "return", down=False, scancode=40)
    assert window.pump(NOW_NS) == Pumped((), (HostAction.ACCEPT,))
    assert window.page is Page.NONE


def test_escape_and_a_click_answer_too(window: Window) -> None:
    window.ask(Page.DISCARD)
    key(window, "escape", scancode=41)
    assert window.pump(NOW_NS) == Pumped((), (HostAction.DECLINE,))
    window.ask(Page.CONSENT)
    show(window)
    answers: set[HostAction] = set()
    for x_px in range(0, window.viewport.hud[2], 8):
        for y_px in range(0, window.viewport.hud[1], 8):
            mouse(pygame.MOUSEBUTTONDOWN, (x_px, y_px))
            answers.update(window.pump(NOW_NS).host_actions)
            window.ask(Page.CONSENT)
    assert answers == {HostAction.ACCEPT, HostAction.DECLINE}


def test_help_is_shown_and_left_without_a_word_to_the_recorder(window: Window) -> None:
    key(window, "right ctrl", scancode=228)
    key(window, "f1", scancode=58)
    key(window, "right ctrl", down=False, scancode=228)
    assert window.pump(NOW_NS) == Pumped()
    pages = [window.page]
    show(window)
    key(window, "escape", scancode=41)
    assert window.pump(NOW_NS) == Pumped()
    pages.append(window.page)
    assert pages == [Page.HELP, Page.NONE]


def test_the_frame_is_on_the_screen_pixel_for_pixel(window: Window) -> None:
    frame = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)
    frame.flags.writeable = False
    window.show(frame, HudState())
    screen = pygame.surfarray.array3d(window.surface).transpose(1, 0, 2)
    left, top = window.viewport.origin
    shown = screen[top : top + 480, left : left + 640]
    np.testing.assert_array_equal(shown, frame.repeat(10, 0).repeat(10, 1))


def test_closing_the_window_is_a_command(window: Window) -> None:
    pygame.event.post(pygame.Event(pygame.QUIT))
    assert window.pump(0).host_actions == (HostAction.QUIT,)


def test_no_display_is_named_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonesuch")
    with pytest.raises(NoDisplay, match="SDL_VIDEODRIVER=dummy"):
        Window(WindowConfig()).open()


def test_a_screen_that_nobody_sees_is_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without a screen SDL silently draws into memory; only one who asked for that wants it.
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    monkeypatch.setattr(pygame.display, "init", lambda: None)
    monkeypatch.setattr(pygame.display, "get_driver", lambda: "offscreen")
    with pytest.raises(NoDisplay, match="set DISPLAY"):
        Window(WindowConfig()).open()
