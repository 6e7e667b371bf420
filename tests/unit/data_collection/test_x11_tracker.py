"""When a launch on a real desktop is over, told without a display."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_collection.desktops.x11.tracker import Tracker
from data_collection.desktops.x11.windows import WindowInfo
from data_collection.events import Button, ButtonChanged

ICON = ("Trash", (10, 10, 40, 40))
TRASH = WindowInfo(
    id=1,
    app="trash",
    title="Trash",
    rect=(200, 100, 200, 150),
    client=(200, 120, 200, 130),
    buttons=(),
    focused=False,
    minimised=True,
    maximised=False,
    dialog=False,
    pid=7,
)


@pytest.fixture
def launches(tmp_path: Path) -> Path:
    return tmp_path / "launches"


def double_click(tracker: Tracker, windows: list[WindowInfo]) -> None:
    for down in (True, False, True, False):
        press = ButtonChanged(Button.LEFT, down, 20, 20)
        tracker.note([press], windows, [ICON], naming=False)
        tracker.see(windows)


def test_a_launch_is_over_when_its_window_comes(launches: Path) -> None:
    tracker = Tracker(launches)
    double_click(tracker, [])
    launches.write_text("Trash\n")
    tracker.see([])
    assert tracker.launching == "Trash"
    tracker.see([replace(TRASH, minimised=False)])
    assert tracker.launching is None


def test_a_launch_is_over_when_the_window_that_was_there_is_shown_instead(
    launches: Path,
) -> None:
    tracker = Tracker(launches)
    double_click(tracker, [TRASH])
    launches.write_text("Trash\n")
    tracker.see([TRASH])
    assert tracker.launching == "Trash"
    tracker.see([replace(TRASH, minimised=False, focused=True)])
    assert tracker.launching is None
