"""What the events alone tell of a desktop: what was double-clicked, dragged, typed as a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_collection.desktops.x11.home import APPS
from data_collection.desktops.x11.windows import Rect, WindowInfo, contains
from data_collection.events import Button, ButtonChanged, Event, KeyChanged, TextTyped

_DOUBLE_CLICK_TICKS = 6
_CONFIRM_TICKS = 30
_LAUNCH_TICKS = 450
_BACKSPACE_SCANCODE = 42
Icons = Sequence[tuple[str, Rect]]


@dataclass(slots=True)
class _Launch:
    app: str
    windows_before: int
    tick: int
    confirmed: bool = False


class Tracker:
    """Follows the events of one session beside what the display server tells.

    A launch begins with the double click on an icon, long before a program can be seen; its
    launcher's note confirms it, and a new window ends it.
    """

    def __init__(self, launches: Path) -> None:
        self._launches = launches
        self._noted = 0
        self._tick = 0
        self._press: tuple[str, int] | None = None
        self._launch: _Launch | None = None
        self.dragging: int | None = None
        self.name_typed = ""

    @property
    def launching(self) -> str | None:
        """The icon whose window is still to come."""
        return self._launch.app if self._launch else None

    def note(
        self, events: Sequence[Event], windows: Sequence[WindowInfo], icons: Icons, naming: bool
    ) -> None:
        """Take one period's events, beside what was on the screen before them."""
        self._tick += 1
        for event in events:
            if isinstance(event, ButtonChanged) and event.button is Button.LEFT:
                if event.down:
                    self._pressed(event.x_px, event.y_px, windows, icons)
                else:
                    self.dragging = None
        self.name_typed = _typed(self.name_typed, events) if naming else ""

    def see(self, windows: Sequence[WindowInfo]) -> None:
        """Compare with what is on the screen now."""
        if self._launch is None or not self._launch.confirmed:
            self._read_launches(windows)
        launch = self._launch
        if launch is None:
            return
        patience = _LAUNCH_TICKS if launch.confirmed else _CONFIRM_TICKS
        is_there = _count(windows, launch.app) > launch.windows_before
        if is_there or self._tick - launch.tick > patience:
            self._launch = None

    def _pressed(self, x_px: int, y_px: int, windows: Sequence[WindowInfo], icons: Icons) -> None:
        shown = [window for window in windows if not window.minimised]
        top = next((w for w in reversed(shown) if contains(w.rect, x_px, y_px)), None)
        first, self._press = self._press, None
        if top is not None:
            on_button = any(contains(button, x_px, y_px) for button in top.buttons)
            if contains(top.title_bar, x_px, y_px) and not on_button:
                self.dragging = top.id
            return
        icon = next((name for name, rect in icons if contains(rect, x_px, y_px)), None)
        if icon is None:
            return
        if first and first[0] == icon and self._tick - first[1] <= _DOUBLE_CLICK_TICKS:
            self._launch = _Launch(icon, _count(windows, icon), self._tick)
        else:
            self._press = (icon, self._tick)

    def _read_launches(self, windows: Sequence[WindowInfo]) -> None:
        """Take the launchers' notes; one may come from elsewhere than a double click."""
        try:
            size = self._launches.stat().st_size
        except OSError:
            return
        if size == self._noted:
            return
        app = self._launches.read_text()[self._noted :].split("\n")[0]
        self._noted = size
        if self._launch is not None and self._launch.app == app:
            self._launch.confirmed = True
        elif app in APPS:
            self._launch = _Launch(app, _count(windows, app), self._tick, confirmed=True)


def _count(windows: Sequence[WindowInfo], icon: str) -> int:
    """Count the windows of an icon that are shown: opening it may bring a minimised one back."""
    windows = [window for window in windows if not window.minimised]
    if icon in ("Terminal", "Browser"):
        return sum(window.app == icon.lower() for window in windows)
    return sum(window.title == icon and window.app != "other" for window in windows)


def _typed(before: str, events: Sequence[Event]) -> str:
    """Return a text with what these events typed into it."""
    has_text = any(isinstance(event, TextTyped) for event in events)
    text = before
    for event in events:
        if isinstance(event, TextTyped):
            text += event.text
        elif isinstance(event, KeyChanged) and event.down:
            if event.scancode == _BACKSPACE_SCANCODE:
                text = text[:-1]
            elif len(event.keysym) == 1 and not has_text:
                text += event.keysym
    return text
