"""How many frames a second does the scripted desktop draw on one core?

python benchmarks/scripted_desktop.py --json

Seconds are those of the processor, so that others on the machine count as little as can be.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click
import numpy as np

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
from data_collection.users import make_user

SCHEMA = "neuralos.benchmark.scripted_desktop/1"


@dataclass(frozen=True)
class Row:
    """One way of using the desktop, timed; ``frame_us`` is the median of the repeats."""

    case: str
    screen: str
    frames: int
    frames_per_s: float
    frame_us: float


def moving_cursor(desktop: ScriptedDesktop, frames: int) -> float:
    """Return the seconds for frames in which only the cursor changes."""
    desktop.reset(0)
    events = [
        [PointerMoved(7 * t % desktop.width_px, 5 * t % desktop.height_px)] for t in range(frames)
    ]
    return _stepped(desktop, events)


def dragged_window(desktop: ScriptedDesktop, frames: int) -> float:
    """Return the seconds for frames in which a window moves, so that all is repainted."""
    desktop.reset(0)
    x_px, y_px = _opened(desktop, "Home")["title_bar"][:2]
    desktop.step([ButtonChanged(Button.LEFT, True, x_px + 16, y_px + 8)])
    events = [[PointerMoved(x_px + 16 + 8 * (t % 8), y_px + 8 * (t % 5))] for t in range(frames)]
    return _stepped(desktop, events)


def resized_window(desktop: ScriptedDesktop, frames: int) -> float:
    """Return the seconds for frames in which a page is laid out for another width."""
    desktop.reset(0)
    x_px, y_px, width_px, height_px = _opened(desktop, "Browser")["resize_corner"]
    grip = (x_px + width_px // 2, y_px + height_px // 2)
    desktop.step([ButtonChanged(Button.LEFT, True, *grip)])
    events = [[PointerMoved(grip[0] - 8 * (t % 13), grip[1] - 8 * (t % 11))] for t in range(frames)]
    return _stepped(desktop, events)


def typing(desktop: ScriptedDesktop, frames: int) -> float:
    """Return the seconds for frames in each of which a character is typed in the terminal."""
    desktop.reset(0)
    _opened(desktop, "Terminal")
    line = "echo the quick brown fox"
    events: list[list[Event]] = []
    for t in range(frames):
        at = t % (len(line) + 1)
        end: list[Event] = [KeyChanged(40, "Return", True), KeyChanged(40, "Return", False)]
        events.append([TextTyped(line[at])] if at < len(line) else end)
    return _stepped(desktop, events)


def browsing(desktop: ScriptedDesktop, frames: int) -> float:
    """Return the seconds for frames in which a page is scrolled, or every tenth left by a link."""
    desktop.reset(0)
    x_px, y_px, width_px, height_px = _opened(desktop, "Browser")["rect"]
    desktop.step([PointerMoved(x_px + width_px // 2, y_px + height_px // 2)])
    start_s = time.process_time()
    for t in range(frames):
        if t % 10:
            desktop.step([WheelTurned(0, 1 if t % 4 < 2 else -1)])
            continue
        links = desktop.state()["browser"]["links"]
        left_px, top_px = links[t // 10 % len(links)]["rect"][:2]
        desktop.step([ButtonChanged(Button.LEFT, True, left_px, top_px)])
    return time.process_time() - start_s


def _opened(desktop: ScriptedDesktop, app: str) -> dict[str, Any]:
    """Double-click an icon, wait, and return its window's state."""
    rects = {icon["name"]: icon["rect"] for icon in desktop.state()["icons"]}
    x_px, y_px = rects[app][:2]
    for _ in range(2):
        desktop.step([ButtonChanged(Button.LEFT, True, x_px + 8, y_px + 8)])
    for _ in range(desktop.config.launch_frames):
        desktop.step([])
    window: dict[str, Any] = desktop.state()["windows"][-1]
    return window


def user_at_work(name: str) -> Callable[[ScriptedDesktop, int], float]:
    """Return the case of a scripted user, its own time and the readable state included."""

    def case(desktop: ScriptedDesktop, frames: int) -> float:
        user = make_user(name)
        user.reset(0, desktop.width_px, desktop.height_px)
        desktop.reset(0)
        start_s = time.process_time()
        for _ in range(frames):
            desktop.step(user.act(desktop.state()))
        return time.process_time() - start_s

    return case


def _stepped(desktop: ScriptedDesktop, events: Sequence[Sequence[Event]]) -> float:
    start_s = time.process_time()
    for group in events:
        desktop.step(group)
    return time.process_time() - start_s


CASES: dict[str, Callable[[ScriptedDesktop, int], float]] = {
    "moving cursor": moving_cursor,
    "dragged window": dragged_window,
    "resized window": resized_window,
    "typing": typing,
    "browsing": browsing,
    "task user": user_at_work("task"),
    "explorer": user_at_work("explorer"),
}


@click.command()
@click.option("--frames", default=2000, show_default=True, help="Frames in each repeat.")
@click.option("--repeats", default=5, show_default=True, help="Repeats; the median is shown.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def main(frames: int, repeats: int, as_json: bool) -> None:
    """Time the scripted desktop at two screen sizes and print one table."""
    rows = []
    print(f"{'case':<16}{'screen':>10}{'frames/s':>10}{'us/frame':>10}")
    for width_px, height_px in ((512, 384), (1024, 768)):
        desktop = ScriptedDesktop(ScriptedConfig(width_px, height_px))
        for name, case in CASES.items():
            seconds = float(np.median([case(desktop, frames) for _ in range(repeats)]))
            screen = f"{width_px}x{height_px}"
            row = Row(name, screen, frames, round(frames / seconds), round(1e6 * seconds / frames))
            rows.append(row)
            print(f"{row.case:<16}{row.screen:>10}{row.frames_per_s:>10.0f}{row.frame_us:>10.0f}")
    if as_json:
        machine = {"processor": platform.processor() or platform.machine(), "os": sys.platform}
        versions = {"python": platform.python_version(), "numpy": np.__version__}
        report = {
            "schema": SCHEMA,
            "rows": [asdict(row) for row in rows],
            "machine": machine,
            "versions": versions,
        }
        print(json.dumps(report))


if __name__ == "__main__":
    main()
