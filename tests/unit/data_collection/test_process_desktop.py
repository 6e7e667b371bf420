"""A desktop in a process of its own: it works like one at home, and its death is named."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from window_fakes import FakeDesktop

from data_collection.action import Action
from data_collection.desktops.process import DesktopDied, ProcessConfig, ProcessDesktop
from data_collection.events import KeyChanged, PointerMoved

_HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def desktop() -> Iterator[ProcessDesktop]:
    """One healthy child for the tests that leave it so: starting one takes a while."""
    config = ProcessConfig("window_fakes:make_temperamental", {"name": "calm"})
    desktop = ProcessDesktop(config)
    desktop.start()
    desktop.wait_ready()
    yield desktop
    desktop.close()


def started(factory: str, step_timeout_s: float = 20.0, **arguments: str) -> ProcessDesktop:
    config = ProcessConfig(f"window_fakes:{factory}", arguments, step_timeout_s=step_timeout_s)
    desktop = ProcessDesktop(config)
    desktop.start()
    return desktop


def order(what: str) -> list[KeyChanged]:
    return [KeyChanged(4, what, True)]


def test_it_does_what_the_desktop_does_at_home(desktop: ProcessDesktop) -> None:
    home = FakeDesktop("calm")
    assert (desktop.name, desktop.width_px, desktop.height_px) == ("calm", 64, 48)
    np.testing.assert_array_equal(desktop.reset(7), home.reset(7))
    for n in range(3):
        events = [PointerMoved(n, n), PointerMoved(n, n + 1)]
        np.testing.assert_array_equal(desktop.step(events), home.step(events))
        assert desktop.state() == home.state()


def test_the_label_comes_with_each_frame(desktop: ProcessDesktop) -> None:
    desktop.reset(0)
    labels = []
    for _ in range(3):
        desktop.step([])
        labels.append(desktop.label)
    assert labels == ["tick 1", "tick 2", "tick 3"]


def test_a_desktop_without_warm_start_ignores_one(desktop: ProcessDesktop) -> None:
    frame = desktop.reset(0)
    desktop.warm_start([frame], [Action()])
    assert desktop.state() == {"ticks": 0}


def test_a_warm_start_arrives() -> None:
    desktop = started("make_warm")
    frames = [np.full((48, 64, 3), n, np.uint8) for n in range(3)]
    actions = [Action(x_px=n) for n in range(3)]
    desktop.reset(0)
    desktop.warm_start(frames, actions)
    assert desktop.state() == {"ticks": 0, "warm": [[n, n] for n in range(3)]}
    desktop.close()


def test_starting_does_not_wait_and_waiting_keeps_the_caller_alive() -> None:
    desktop = started("make_temperamental", name="late")
    waits = []
    desktop.on_wait = lambda: waits.append(1)
    ready_at_once = desktop.ready
    desktop.wait_ready()
    assert not ready_at_once
    assert len(waits) > 2
    assert desktop.ready
    desktop.close()
    desktop.close()


def test_a_desktop_that_cannot_be_made_says_why() -> None:
    desktop = started("make_nothing")
    with pytest.raises(DesktopDied, match="no weights at step 12"):
        desktop.wait_ready()
    with pytest.raises(DesktopDied, match="no weights at step 12"):
        desktop.step([])


@pytest.mark.parametrize(
    ("what", "how"),
    [("die", "its process ended"), ("break", "wallpaper is missing"), ("hang", "no answer for")],
)
def test_each_death_is_named(what: str, how: str) -> None:
    desktop = started("make_temperamental", step_timeout_s=1.0, name="mortal")
    desktop.reset(0)
    with pytest.raises(DesktopDied, match=f"mortal: .*{how}"):
        desktop.step(order(what))
    with pytest.raises(DesktopDied, match=how):
        desktop.step([])
    desktop.close()


def test_one_that_was_never_started_says_so() -> None:
    with pytest.raises(DesktopDied, match="not started"):
        ProcessDesktop(ProcessConfig("window_fakes:make_warm")).reset(0)


def test_the_child_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    """Also while it is stuck: the parent is gone the moment it has asked for a frame."""
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            """
            import os
            from data_collection.desktops.process import ProcessConfig, ProcessDesktop
            from data_collection.events import KeyChanged

            if __name__ == "__main__":
                arguments = {"name": "orphan"}
                config = ProcessConfig("window_fakes:make_temperamental", arguments)
                desktop = ProcessDesktop(config)
                desktop.start()
                desktop.wait_ready()
                desktop.on_wait = lambda: os._exit(9)
                desktop.step([KeyChanged(4, "hang", True)])
            """
        )
    )
    paths = [str(_HERE), *(path for path in sys.path if path), os.getcwd()]
    parent = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        timeout=60,
    )
    # stdout is inherited: reading it to its end took until the child was gone too.
    assert parent.returncode == 9
