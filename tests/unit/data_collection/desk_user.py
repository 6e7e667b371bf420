"""A test's hand at the scripted desktop: it finds things by name and uses them."""

from __future__ import annotations

from typing import Any

from data_collection.desktops.scripted import ScriptedConfig, ScriptedDesktop
from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    PointerMoved,
    TextTyped,
    WheelTurned,
)
from data_collection.trace import Frame

RETURN, ESCAPE, BACKSPACE, DELETE, DOWN, UP = 40, 41, 42, 76, 81, 82
WALLPAPER = (450, 330)


def middle(rect: list[int]) -> tuple[int, int]:
    return rect[0] + rect[2] // 2, rect[1] + rect[3] // 2


class DeskUser:
    """Uses one desktop; every method steps it at least once."""

    def __init__(self, **config: Any) -> None:
        self.desktop = ScriptedDesktop(ScriptedConfig(**{"launch_frames": 2, **config}))
        self.frame: Frame = self.desktop.reset(0)

    @property
    def state(self) -> dict[str, Any]:
        return self.desktop.state()

    def window(self, app: str) -> dict[str, Any]:
        """Return the topmost window of an app."""
        found: dict[str, Any] = [w for w in self.state["windows"] if w["app"] == app][-1]
        return found

    def apps(self) -> list[str]:
        return [window["app"] for window in self.state["windows"]]

    def do(self, *events: Event) -> None:
        self.frame = self.desktop.step(list(events))

    def rest(self, ticks: int = 10) -> None:
        for _ in range(ticks):
            self.do()

    def click(self, point: tuple[int, int], button: Button = Button.LEFT) -> None:
        self.do(ButtonChanged(button, True, *point), ButtonChanged(button, False, *point))

    def double_click(self, point: tuple[int, int]) -> None:
        self.rest()
        self.click(point)
        self.click(point)
        self.rest()

    def open(self, icon: str) -> None:
        rects = {one["name"]: one["rect"] for one in self.state["icons"]}
        self.double_click(middle(rects[icon]))

    def menu(self, point: tuple[int, int], label: str) -> None:
        self.click(point, Button.RIGHT)
        items = {item["label"]: item["rect"] for item in self.state["menu"]["items"]}
        self.click(middle(items[label]))

    def icon_menu(self, icon: str, label: str) -> None:
        rects = {one["name"]: one["rect"] for one in self.state["icons"]}
        self.menu(middle(rects[icon]), label)

    def drag(self, start: tuple[int, int], by_px: tuple[int, int]) -> None:
        end = (start[0] + by_px[0], start[1] + by_px[1])
        self.rest()
        self.do(ButtonChanged(Button.LEFT, True, *start))
        self.do(PointerMoved(*end))
        self.do(ButtonChanged(Button.LEFT, False, *end))

    def key(self, scancode: int, times: int = 1) -> None:
        for _ in range(times):
            self.do(KeyChanged(scancode, "", True), KeyChanged(scancode, "", False))

    def type(self, text: str, *keys: int) -> None:
        """Type characters one by one, then hit keys."""
        for character in text:
            self.do(TextTyped(character))
        for scancode in keys:
            self.key(scancode)

    def run(self, command: str) -> list[str]:
        """Run a command in the terminal and return the lines that came after it."""
        self.type(command, RETURN)
        lines: list[str] = self.state["terminal"]["lines"]
        last = max(at for at, line in enumerate(lines) if line.endswith(f"$ {command}"))
        return lines[last + 1 :]

    def wheel(self, point: tuple[int, int], notches: int) -> None:
        self.do(PointerMoved(*point), WheelTurned(0, notches))
