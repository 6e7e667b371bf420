"""From nothing to a desktop that can be seen, and back."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from data_collection.desktops.x11 import screen as screens
from data_collection.desktops.x11.asking import Asking
from data_collection.desktops.x11.config import X11Config
from data_collection.desktops.x11.home import Home
from data_collection.desktops.x11.injector import Injector
from data_collection.desktops.x11.profiles import READY, Icons, ProfilePrograms
from data_collection.desktops.x11.reader import StateReader
from data_collection.desktops.x11.screen import Screen, deaths_named
from data_collection.desktops.x11.session import Session, open_session
from data_collection.desktops.x11.site import Site, serve
from data_collection.desktops.x11.window_reader import WindowReader
from data_collection.trace import Frame

_STILL_GRABS = 4
_STILL_POLL_S = 0.015


@dataclass(frozen=True, slots=True)
class Opened:
    """Everything of one session that is up."""

    session: Session
    site: Site
    screen: Screen
    injector: Injector
    reader: StateReader


def open_desktop(config: X11Config, programs: ProfilePrograms) -> Opened:
    """Start a session and return once its desktop is painted.

    Raises:
        X11Died: it did not come up; nothing of it is left.
    """
    session = open_session(config.folder)
    site, screen = serve(), None
    timeout_s = config.start_timeout_s
    try:
        with deaths_named(session):
            number = screens.start_server(session, config.width_px, config.height_px)
            home = Home(session, config, site.port)
            programs.prepare(home)
            name = screens.display_name(session, number, timeout_s)
            screen = screens.connect(name, config.width_px, config.height_px)
            windows = WindowReader(Asking(screen.display))
            windows.watch()
            _start_programs(home, programs, name, windows)
            icons = _await_icons(session, screen, config, programs)
            injector = Injector(screen.display, config.width_px, config.height_px)
            injector.prepare()
            reader = StateReader(home, programs, windows, site, icons)
    except BaseException:
        if screen is not None:
            screen.close()
        site.close()
        session.close()
        raise
    return Opened(session, site, screen, injector, reader)


def close_desktop(opened: Opened | None) -> None:
    """End a session; return once nothing of it is left."""
    if opened is None:
        return
    opened.screen.close()
    opened.site.close()
    opened.session.close()


def _start_programs(
    home: Home, programs: ProfilePrograms, display: str, windows: WindowReader
) -> None:
    """Start what makes the desktop and return once its windows are there."""
    session, config = home.session, home.config
    timeout_s = config.start_timeout_s
    env = home.env | dict(programs.env) | {"DISPLAY": display}
    bus = ["dbus-daemon", f"--config-file={session.run_dir / 'bus.conf'}"]
    session.run("dbus-daemon", [*bus, "--nofork", "--nopidfile", "--nosyslog"], env)
    manager = programs.window_manager
    session.run(manager[0], manager, env)
    session.wait_for("the window manager", windows.window_manager_up, timeout_s)
    if programs.tells_when_ready:
        session.wait_for("the window manager", (session.home / READY).exists, timeout_s)
        (session.home / READY).unlink()
    session.wait_for("the D-Bus session", (session.run_dir / "bus").exists, timeout_s)
    for argv in programs.desktop:
        session.run(argv[0], argv, env)
    session.wait_for("the desktop's window", windows.desktop_up, timeout_s)

    def panel_up() -> bool:
        area = windows.work_area(config.width_px, config.height_px)
        return area[3] < config.height_px

    if programs.has_panel:
        session.wait_for("the panel", panel_up, timeout_s)


def _await_icons(
    session: Session, screen: Screen, config: X11Config, programs: ProfilePrograms
) -> Icons:
    """Return where the icons are, once they can be seen and the picture stands still."""
    last: Frame | None = None
    same = 0

    def seen() -> Icons | None:
        nonlocal last, same
        frame = screen.grab()
        same = same + 1 if last is not None and np.array_equal(frame, last) else 0
        last = frame
        time.sleep(_STILL_POLL_S)
        return programs.icons(config, frame) if same >= _STILL_GRABS else None

    icons: Icons = session.wait_for("the desktop's icons", seen, config.start_timeout_s)
    return icons
