"""A real display, and a hand on the window that is shown on it."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.e2e.harness import until

RIGHT_CTRL_KEYCODE = "105"


@contextlib.contextmanager
def display() -> Iterator[str]:
    """Start an X server with a window manager; yield its name."""
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    name = f":{server.stdout.readline().strip()}"
    manager = subprocess.Popen(
        ["openbox"], env={"DISPLAY": name, "HOME": "/nonexistent"}, stderr=subprocess.DEVNULL
    )
    try:
        yield name
    finally:
        manager.terminate()
        server.terminate()
        manager.wait()
        server.wait()


@dataclass(frozen=True)
class Hand:
    """Moves the pointer over one window, in desktop pixels."""

    display: str
    window: str
    scale: int

    @classmethod
    def on(cls, display: str, pid: int) -> Hand:
        """Find the window of a process."""

        def find() -> str:
            return xdotool(display, "search", "--onlyvisible", "--pid", str(pid)).split("\n")[0]

        window = until(find, "the window")
        shape = dict(
            line.split("=")
            for line in xdotool(display, "getwindowgeometry", "--shell", window).split("\n")
        )
        return cls(display, window, int(shape["WIDTH"]) // 512)

    def move(self, x_px: int, y_px: int) -> None:
        place = (str(x_px * self.scale), str(y_px * self.scale))
        xdotool(self.display, "mousemove", "--sync", "--window", self.window, *place)
        time.sleep(0.1)

    def click(self, button: int = 1, times: int = 1) -> None:
        for _ in range(times):
            xdotool(self.display, "click", str(button))

    def key(self, name: str) -> None:
        xdotool(self.display, "key", name)

    def host_key(self, name: str) -> None:
        """Press a function key together with Right Ctrl."""
        xdotool(self.display, "keydown", RIGHT_CTRL_KEYCODE)
        xdotool(self.display, "key", name)
        xdotool(self.display, "keyup", RIGHT_CTRL_KEYCODE)


def xdotool(display: str, *words: str) -> str:
    done = subprocess.run(
        ["xdotool", *words], env={"DISPLAY": display}, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
