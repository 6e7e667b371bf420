"""A recorder at a fake desktop, and readers of what it recorded."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pygame
from window_fakes import (
    FakeClock,
    FakeDesktop,
    FakeSimulator,
    FakeSink,
    FakeTelemetry,
)

from data_collection.desktops.desktop import Desktop
from data_collection.desktops.pair import Desktops
from data_collection.events import Event, Marker
from data_collection.recording.recorder import Recorder, RecorderConfig
from data_collection.trace import Clip, Consent, Frame
from data_collection.window.hotkeys import KEYS, HostAction
from data_collection.window.hud import HudState
from data_collection.window.window import Window

_KEY_OF = {action: name for name, action in KEYS.items()}


class Desk:
    """A recorder with everything around it, driven by a script of ticks."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.clock = FakeClock()
        self.real = FakeDesktop()
        self.simulator: Desktop | None = FakeSimulator()
        self.sink = FakeSink()
        self.telemetry = FakeTelemetry()
        self.shown: list[HudState] = []
        self.recorder: Recorder
        show = window.show

        def remember(frame: Frame, hud: HudState) -> None:
            self.shown.append(hud)
            show(frame, hud)

        window.show = remember  # type: ignore[method-assign]

    def run(
        self,
        ticks: int,
        script: dict[int, Callable[[], None]] | None = None,
        user: Any = None,
        **config: Any,
    ) -> Recorder:
        """Run so many ticks; ``script[n]`` is called before tick n (from 0)."""
        fields = {"consent": Consent.SYNTHETIC, "hold_s": 0.0, "seed": 5, **config}
        desktops = Desktops(self.real, lambda: self.simulator)
        self.recorder = Recorder(
            self.window,
            desktops,
            self.sink,
            self.clock,
            Random(1),
            RecorderConfig(**fields),
            self.telemetry,
            user,
        )
        tick = 0

        def until() -> bool:
            nonlocal tick
            (script or {}).get(tick, lambda: None)()
            tick += 1
            return tick > ticks

        self.recorder.run(until)
        return self.recorder

    def press(self, action: HostAction) -> Callable[[], None]:
        return lambda: self.press_now(_KEY_OF[action])

    def press_now(self, name: str) -> None:
        self.keys(pygame.KEYDOWN, "right ctrl", name)
        self.keys(pygame.KEYUP, name, "right ctrl")

    def hold(self) -> None:
        self.keys(pygame.KEYDOWN, "right ctrl", "f8")
        self.keys(pygame.KEYUP, "right ctrl")

    def release(self) -> None:
        self.keys(pygame.KEYUP, "f8")

    def keys(self, kind: int, *names: str) -> None:
        for name in names:
            code = pygame.key.key_code(name)
            event = pygame.Event(kind, key=code, scancode=code % 512, mod=0, unicode="")
            pygame.event.post(event)

    def answer(self, name: str) -> Callable[[], None]:
        def post() -> None:
            code = pygame.key.key_code(name)
            for kind in (pygame.KEYDOWN, pygame.KEYUP):
                pygame.event.post(pygame.Event(kind, key=code, scancode=40, mod=0, unicode=""))

        return post

    def post(self, *events: Event) -> Callable[[], None]:
        return lambda: self.window.post(events)


def events_of(clips: list[Clip]) -> list[Event]:
    return [event for clip in clips for group in clip.events for event in group]


def fills(clips: list[Clip]) -> list[int]:
    return [int(frame[0, 0, 0]) for clip in clips for frame in clip.frames]


def kinds(clips: list[Clip]) -> list[str]:
    return [event.kind for event in events_of(clips) if isinstance(event, Marker)]
