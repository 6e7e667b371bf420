"""Real desktops live apart, die by name and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from x11_hand import X11Hand

from data_collection.desktops.process import DesktopDied, ProcessConfig, ProcessDesktop
from data_collection.desktops.x11 import ProgramsMissing, X11Config, X11Desktop, X11Died
from data_collection.events import PointerMoved

pytestmark = pytest.mark.needs("Xvfb", "openbox", "pcmanfm", "xterm", "dbus-daemon", "chromium")

_OWNER = """
import sys, time
from data_collection.desktops.x11 import X11Config, X11Desktop
desktop = X11Desktop(X11Config(folder=sys.argv[1]))
desktop.start()
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """Where sessions make their folders; sockets want it short."""
    with tempfile.TemporaryDirectory(prefix="x11-") as folder:
        yield Path(folder)


def test_a_folder_too_deep_for_sockets_is_refused(place: Path) -> None:
    deep = place / ("d" * 58)
    deep.mkdir()
    with pytest.raises(X11Died, match="too long a path"):
        started(deep)
    assert not list(deep.iterdir())


def started(place: Path) -> X11Desktop:
    desktop = X11Desktop(X11Config(folder=str(place)))
    desktop.start()
    return desktop


def processes_in(place: Path) -> dict[int, str]:
    """Return the living processes whose environment names a folder, and their names."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if os.fsencode(place) in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "comm").read_text().strip()
            except OSError:
                continue
    return found


def step_for_a_while(desktop: X11Desktop) -> None:
    for x_px in range(100):
        desktop.step([PointerMoved(x_px, 10)])
        time.sleep(0.01)


def wait_until(seen: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_desktops_side_by_side_do_not_touch_each_other(place: Path) -> None:
    busy, quiet = started(place), started(place)
    try:
        untouched = quiet.step(())
        hand = X11Hand(busy)
        hand.open("Terminal")
        hand.until(lambda state: state["terminal"] and "$" in state["terminal"]["lines"][-1])
        hand.type("mkdir Desktop/Mine\n")
        hand.until(lambda state: state["folders"] == ["Mine"])
        np.testing.assert_array_equal(quiet.step(()), untouched)
        state = quiet.state()
        assert (state["folders"], state["windows"], state["cursor"]["x_px"]) == (
            [],
            [],
            X11Hand(quiet).state["cursor"]["x_px"],
        )
    finally:
        busy.close()
        quiet.close()
    assert not processes_in(place)
    assert not list(place.iterdir())


def test_nothing_of_a_session_survives_its_reset(place: Path) -> None:
    desktop = X11Desktop(X11Config(folder=str(place)))
    try:
        first = desktop.reset(3)
        old_folder = next(place.iterdir())
        hand = X11Hand(desktop)
        hand.open("Terminal")
        hand.until(lambda state: state["terminal"] and "$" in state["terminal"]["lines"][-1])
        hand.type("mkdir Desktop/Old; (setsid sleep 500 &)\n")
        hand.until(lambda state: state["folders"] == ["Old"])
        wait_until(lambda: "sleep" in processes_in(old_folder).values())
        hand.open("Browser")
        again = desktop.reset(3)
        assert not processes_in(old_folder)
        assert not old_folder.exists()
        state = desktop.state()
        assert (state["windows"], state["folders"], state["terminal"]) == ([], [], None)
        np.testing.assert_array_equal(again, first)
    finally:
        desktop.close()


@pytest.mark.parametrize(
    ("program", "name"), [("Xvfb", "Xvfb"), ("openbox", "openbox"), ("pcmanfm", "pcmanfm")]
)
def test_the_death_of_a_program_is_named_at_once(place: Path, program: str, name: str) -> None:
    desktop = started(place)
    try:
        victim = next(pid for pid, comm in processes_in(place).items() if comm == program)
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(DesktopDied, match=f"{name} was killed by signal 9"):
            step_for_a_while(desktop)
    finally:
        desktop.close()
    assert not processes_in(place)
    assert not list(place.iterdir())


def test_an_owner_that_is_killed_leaves_no_process_and_no_file(place: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(place)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    assert {"Xvfb", "openbox", "pcmanfm"} <= set(processes_in(place).values())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    wait_until(lambda: not processes_in(place) and not list(place.iterdir()))


def test_a_full_disk_ends_the_session_with_a_clear_error(place: Path) -> None:
    desktop = X11Desktop(X11Config(folder=str(place), min_disk_left_bytes=1 << 60))
    desktop.start()
    try:
        with pytest.raises(X11Died, match="the disk is full"):
            step_for_a_while(desktop)
        # A session that ended is no end of the desktop.
        assert desktop.reset(0).shape == (384, 512, 3)
    finally:
        desktop.close()


def test_a_missing_program_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setenv("PATH", str(place))
    with pytest.raises(ProgramsMissing, match="openbox") as caught:
        started(place)
    assert caught.value.hint.startswith("sudo apt-get install -y")
    assert "openbox" in caught.value.hint
    assert not list(place.iterdir())


def test_it_works_in_a_process_of_its_own(place: Path) -> None:
    factory = "data_collection.desktops.x11:create_x11"
    arguments = {"folder": str(place), "width_px": 640, "height_px": 480, "browser": False}
    desktop = ProcessDesktop(ProcessConfig(factory, arguments))
    desktop.start()
    try:
        assert desktop.reset(1).shape == (480, 640, 3)
        assert desktop.name == "x11-lean"
        names = [icon["name"] for icon in desktop.state()["icons"]]
        assert names == ["Home", "Trash", "Terminal"]
    finally:
        desktop.close()
    wait_until(lambda: not processes_in(place) and not list(place.iterdir()))
