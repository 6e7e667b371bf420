"""A hand for the tests of the real desktop: acts, then waits for what should come of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from data_collection.desktops.x11 import X11Desktop
from data_collection.events import Button, ButtonChanged, Event, PointerMoved, TextTyped
from data_collection.trace import Frame

_PERIOD_S = 1 / 30
_PATIENCE_S = 30.0
_TRIES = 3
_STEPS_A_TRY = 90


class X11Hand:
    """Steps a desktop at an even pace; the state comes after each step."""

    def __init__(self, desktop: X11Desktop) -> None:
        self.desktop = desktop
        self.frame: Frame = desktop.step(())

    @property
    def state(self) -> dict[str, Any]:
        return self.desktop.state()

    def do(self, *groups: Iterable[Event]) -> None:
        for group in groups:
            self.frame = self.desktop.step(list(group))
            self.desktop.state()
            time.sleep(_PERIOD_S)

    def until(self, seen: Callable[[dict[str, Any]], Any]) -> Any:
        """Step until the state shows it, and return what ``seen`` returned."""
        deadline = time.monotonic() + _PATIENCE_S
        while not (found := seen(self.state)):
            assert time.monotonic() < deadline, f"did not come: {self.state}"
            self.do(())
        return found

    def click(self, rect: list[int], button: Button = Button.LEFT, times: int = 1) -> None:
        x_px, y_px = rect[0] + rect[2] // 2, rect[1] + rect[3] // 2
        self.do([PointerMoved(x_px, y_px)])
        for _ in range(times):
            self.do([ButtonChanged(button, True, x_px, y_px)])
            self.do([ButtonChanged(button, False, x_px, y_px)])

    def open(self, icon: str) -> dict[str, Any]:
        """Double-click an icon and return its window.

        On a busy machine two clicks may come too far apart for a double click; like a
        person, the hand then tries again.
        """
        for _ in range(_TRIES):
            self.click(icon_rect(self.state, icon), times=2)
            for _ in range(_STEPS_A_TRY):
                self.do(())
                if self.state["launching"] or window_of(self.state, icon):
                    return self.until(lambda state: window_of(state, icon))
        raise AssertionError(f"{icon} did not start: {self.state}")

    def type(self, text: str) -> None:
        for char in text:
            self.do([TextTyped(char)])


def icon_rect(state: dict[str, Any], name: str) -> list[int]:
    return next(icon["rect"] for icon in state["icons"] if icon["name"] == name)


def window_of(state: dict[str, Any], app: str) -> dict[str, Any] | None:
    return next((w for w in state["windows"] if w["app"] == app.lower()), None)
