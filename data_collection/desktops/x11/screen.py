"""One display: its server, a connection to it, and its pixels with the cursor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from data_collection.desktops.x11.session import Session, X11Died
from data_collection.trace import Frame


def start_server(session: Session, width_px: int, height_px: int) -> Path:
    """Start the display server of a session; it chooses a display number that is free.

    Returns:
        The file in which the number will stand.
    """
    number = session.run_dir / "display"
    argv = ["Xvfb", "-displayfd", "1", "-screen", "0", f"{width_px}x{height_px}x24"]
    argv += ["-nolisten", "tcp", "-noreset", "-dpi", "96", "-s", "0", "-dpms"]
    session.run("Xvfb", argv, {"PATH": "/usr/bin:/bin", "HOME": str(session.home)}, out=number)
    return number


def display_name(session: Session, number: Path, timeout_s: float) -> str:
    """Return ``:N`` once the server takes connections."""

    def written() -> str:
        text = number.read_text() if number.exists() else ""
        return text.strip() if text.endswith("\n") else ""

    return ":" + str(session.wait_for("the display server", written, timeout_s))


@contextmanager
def deaths_named(session: Session) -> Iterator[None]:
    """Give a broken connection, or a file that cannot be written, the name of its cause."""
    from mss import ScreenShotError
    from Xlib import error

    try:
        yield
    except (error.DisplayError, error.ConnectionClosedError, error.XError, ScreenShotError) as why:
        session.settle()
        session.check()
        raise X11Died(f"the display server does not answer: {why}") from None
    except OSError as why:
        session.settle()
        session.check()
        raise X11Died(f"the session's files cannot be used: {why}") from None


class Screen:
    """Two connections to a display: one that asks and injects, one that grabs pixels."""

    def __init__(self, display: Any, camera: Any, width_px: int, height_px: int) -> None:
        self.display = display
        self.root = display.screen().root
        self._camera = camera
        self._area = {"left": 0, "top": 0, "width": width_px, "height": height_px}

    def grab(self) -> Frame:
        """Return what the screen shows, with the cursor on it: uint8 (height, width, 3)."""
        shot = self._camera.grab(self._area)
        bgra = np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)
        frame = np.empty((shot.height, shot.width, 3), np.uint8)
        for channel in range(3):
            frame[:, :, channel] = bgra[:, :, 2 - channel]
        frame.flags.writeable = False
        return frame

    def close(self) -> None:
        """Close both connections; a server that is gone is no trouble."""
        for closing in (self._camera.close, self.display.close):
            try:
                closing()
            except Exception:
                continue


def connect(name: str, width_px: int, height_px: int) -> Screen:
    """Connect to a display.

    Raises:
        X11Died: it refuses.
    """
    import mss
    from Xlib import display, error

    try:
        connection = display.Display(name)
        connection.set_error_handler(lambda *_: None)
        camera = mss.MSS(display=name, with_cursor=True)
    except (error.DisplayError, error.ConnectionClosedError, mss.ScreenShotError, OSError) as why:
        raise X11Died(f"display {name} refuses connections: {why}") from None
    return Screen(connection, camera, width_px, height_px)
