"""Random use of a scripted desktop, aimed at what is on the screen, and what must always hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.desktops.scripted.geometry import Rect
from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    PointerMoved,
    TextTyped,
    WheelTurned,
)

TEXTS = ("a", "notes", "ls -a", "mkdir x/y", "rm -r ~/Desktop/*", "..", "ä€", '"', " ", "cd ..")
COMMANDS = ("mkdir Desktop/a", "rm -r Desktop", "cd Documents", "cat list.txt", "clear", "help")
KEYS = (40, 41, 42, 43, 59, 61, 74, 75, 76, 77, 78, 79, 80, 81, 82, 88, 225, 226, 4, 511)


def events_of(rng: np.random.Generator, state: dict[str, Any]) -> list[Event]:
    """Draw what happens in one tick."""
    events: list[Event] = []
    for _ in range(int(rng.integers(0, 4))):
        x_px, y_px = _point(rng, state)
        kind = rng.random()
        if kind < 0.25:
            events.append(PointerMoved(x_px, y_px))
        elif kind < 0.6:
            button = Button.RIGHT if rng.random() < 0.2 else Button.LEFT
            presses = 2 if rng.random() < 0.4 else 1
            for down in (True, False) * presses:
                events.append(ButtonChanged(button, down, x_px, y_px))
        elif kind < 0.7:
            button = tuple(Button)[int(rng.integers(3))]
            events.append(ButtonChanged(button, bool(rng.random() < 0.5), x_px, y_px))
        elif kind < 0.82:
            key = int(rng.choice(KEYS))
            events.append(KeyChanged(key, "", bool(rng.random() < 0.7)))
        elif kind < 0.88:
            events.append(TextTyped(str(rng.choice(TEXTS))))
        elif kind < 0.94:
            events += [TextTyped(str(rng.choice(COMMANDS))), KeyChanged(40, "Return", True)]
        else:
            events.append(WheelTurned(0, int(rng.integers(-3, 4))))
    return events


def _point(rng: np.random.Generator, state: dict[str, Any]) -> tuple[int, int]:
    screen = state["screen"]
    if rng.random() < 0.25:
        # Beyond the screen, too: a desktop has to bear what a window may hand on.
        return (
            int(rng.integers(-20, screen["width_px"] + 20)),
            int(rng.integers(-20, screen["height_px"] + 20)),
        )
    rects = list(_rects(state))
    rect = rects[int(rng.integers(len(rects)))]
    return (
        rect[0] + int(rng.integers(max(1, rect[2]))),
        rect[1] + int(rng.integers(max(1, rect[3]))),
    )


def _rects(value: Any) -> Iterator[list[int]]:
    """Yield every rectangle that a state names."""
    if isinstance(value, dict):
        for one in value.values():
            yield from _rects(one)
    elif isinstance(value, list) and len(value) == 4 and all(type(n) is int for n in value):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _rects(one)


def check(desktop: ScriptedDesktop) -> None:
    """Check what holds at any moment."""
    state = desktop.state()
    assert json.loads(json.dumps(state)) == state
    screen = Rect(0, 0, desktop.width_px, desktop.height_px)
    area = Rect(*state["screen"]["work_area"])
    for icon in state["icons"]:
        assert _inside(icon["rect"], area), icon
    focused = [window for window in state["windows"] if window["focused"]]
    assert len(focused) <= 1
    for window in state["windows"]:
        assert _inside(window["rect"], area), window
        for name in ("title_bar", "close_button", "minimise_button", "maximise_button"):
            assert _inside(window[name], Rect(*window["rect"])), (name, window)
    shown = [window for window in state["windows"] if not window["minimised"]]
    if focused:
        assert shown
        assert focused[0]["id"] == shown[-1]["id"], "what has the focus lies on top"
    if state["menu"] is not None:
        assert _inside(state["menu"]["rect"], area)
        assert all(_inside(item["rect"], area) for item in state["menu"]["items"])
    for place in (state["naming"], *state["taskbar"]):
        assert place is None or _inside(place["rect"], screen), place
    assert len(set(state["folders"])) == len(state["folders"])
    cursor = state["cursor"]
    assert screen.contains(cursor["x_px"], cursor["y_px"])


def _inside(rect: list[int], outer: Rect) -> bool:
    inner = Rect(*rect)
    return inner.width_px > 0 and inner.height_px > 0 and inner.clipped_to(outer) == inner
