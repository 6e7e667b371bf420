"""A real desktop: its own display server, HOME and D-Bus, new in every session."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from data_collection.desktops.x11 import screen as screens
from data_collection.desktops.x11.asking import Asking
from data_collection.desktops.x11.config import X11Config
from data_collection.desktops.x11.home import Home
from data_collection.desktops.x11.injector import Injector
from data_collection.desktops.x11.profiles import PROFILES, ProfilePrograms
from data_collection.desktops.x11.programs import require_programs
from data_collection.desktops.x11.reader import StateReader
from data_collection.desktops.x11.screen import Screen
from data_collection.desktops.x11.session import Session, X11Died, open_session
from data_collection.desktops.x11.site import Site, serve
from data_collection.desktops.x11.window_reader import WindowReader
from data_collection.events import Event
from data_collection.trace import Frame

_STILL_GRABS = 4
_STILL_POLL_S = 0.015
_DISK_EVERY_STEPS = 15
_START_GRID_PX = 8


@dataclass(frozen=True, slots=True)
class _Open:
    """Everything of one session that is up."""

    session: Session
    site: Site
    screen: Screen
    injector: Injector
    reader: StateReader


class X11Desktop:
    """A desktop of real programs in a display of its own.

    ``reset`` is a fresh session: new display server, HOME, D-Bus and programs; nothing of the
    one before is left, no process and no file. ``step`` applies its events at once and grabs
    a frame; the programs run on the machine's clock, so the caller keeps the pace. The seed
    chooses where the pointer starts.
    """

    def __init__(self, config: X11Config | None = None) -> None:
        """Store the configuration; ``start`` or ``reset`` brings the desktop up."""
        self.config = config or X11Config()
        self.name = f"x11-{self.config.profile}"
        self.width_px = self.config.width_px
        self.height_px = self.config.height_px
        self._programs = PROFILES[self.config.profile]
        self._open: _Open | None = None
        self._tick = 0

    @property
    def label(self) -> str:
        """A line for the HUD."""
        return f"{self.config.profile} desktop {self.width_px}x{self.height_px}"

    def start(self) -> None:
        """Bring the desktop up with seed 0.

        Raises:
            ProgramsMissing: programs or packages are missing; ``hint`` installs them.
            X11Died: it did not come up.
        """
        self.reset(0)

    def reset(self, seed: int) -> Frame:
        """Start a fresh session and return its first frame.

        Raises:
            ProgramsMissing: programs or packages are missing; ``hint`` installs them.
            X11Died: the session did not come up.
        """
        require_programs(self.config)
        before, self._open = self._open, None
        if before is not None:
            # The old session ends while the new one starts.
            before.session.abandon()
        try:
            self._open = _open(self.config, self._programs)
        finally:
            _close(before)
        self._tick = 0
        rng = np.random.Generator(np.random.Philox(seed))
        with self._named():
            opened = self._opened()
            opened.injector.place(
                _START_GRID_PX * int(rng.integers(self.width_px // _START_GRID_PX)),
                _START_GRID_PX * int(rng.integers(self.height_px // _START_GRID_PX)),
            )
            opened.injector.play(())
            return opened.screen.grab()

    def step(self, events: Sequence[Event]) -> Frame:
        """Apply one period's events and return what the screen shows now.

        Raises:
            X11Died: a program that the desktop cannot do without is gone, or the disk is full.
        """
        opened = self._opened()
        opened.session.check()
        self._tick += 1
        if self._tick % _DISK_EVERY_STEPS == 0:
            self._check_disk(opened.session)
        with self._named():
            reader = opened.reader
            windows = reader.windows()
            naming = reader.naming(windows) is not None
            reader.tracker.note(events, windows, reader.icons(), naming)
            opened.injector.play(events)
            return opened.screen.grab()

    def state(self) -> dict[str, Any]:
        """Return what is on the screen in the words of ``ScriptedDesktop.state``.

        Raises:
            X11Died: the display server is gone.
        """
        opened = self._opened()
        with self._named():
            return opened.reader.state(self._tick, opened.injector.x_px, opened.injector.y_px)

    def close(self) -> None:
        """End the session; nothing of it is left. Closing twice is fine."""
        opened, self._open = self._open, None
        _close(opened)

    def _opened(self) -> _Open:
        if self._open is None:
            raise X11Died(f"{self.name} is not started")
        return self._open

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Give a broken connection the name of the program that broke it."""
        from mss import ScreenShotError
        from Xlib import error

        try:
            yield
        except (error.ConnectionClosedError, error.XError, ScreenShotError, OSError) as why:
            session = self._opened().session
            session.settle()
            session.check()
            raise X11Died(f"the display server does not answer: {why}") from None

    def _check_disk(self, session: Session) -> None:
        left_bytes = shutil.disk_usage(session.folder).free
        if left_bytes < self.config.min_disk_left_bytes:
            raise X11Died(
                f"the disk is full: {left_bytes / 1e6:.0f} MB left at {session.folder.parent}",
                "Free some space, or name another folder for sessions.",
            )


def create_x11(**arguments: Any) -> X11Desktop:
    """Return a desktop for ``ProcessDesktop``; the arguments are those of ``X11Config``."""
    return X11Desktop(replace(X11Config(), **arguments))


def _open(config: X11Config, programs: ProfilePrograms) -> _Open:
    """Start a session and return once its desktop is painted."""
    session = open_session(config.folder)
    site, screen = serve(), None
    try:
        number = screens.start_server(session, config.width_px, config.height_px)
        home = Home(session, config, site.port)
        programs.prepare(home)
        name = screens.display_name(session, number, config.start_timeout_s)
        screen = screens.connect(name, config.width_px, config.height_px)
        windows = WindowReader(Asking(screen.display))
        windows.watch()
        _start_programs(home, programs, name, windows)
        first = _wait_until_still(session, screen, config.start_timeout_s)
        injector = Injector(screen.display, config.width_px, config.height_px)
        injector.prepare()
        reader = StateReader(home, programs, windows, site, first)
    except BaseException as error:
        if screen is not None:
            screen.close()
        site.close()
        session.close()
        if isinstance(error, OSError):
            raise X11Died(f"the session's files cannot be written: {error}") from None
        raise
    return _Open(session, site, screen, injector, reader)


def _start_programs(
    home: Home, programs: ProfilePrograms, display: str, windows: WindowReader
) -> None:
    session, timeout_s = home.session, home.config.start_timeout_s
    env = home.env | dict(programs.env) | {"DISPLAY": display}
    bus = ["dbus-daemon", f"--config-file={session.run_dir / 'bus.conf'}"]
    session.run("dbus-daemon", [*bus, "--nofork", "--nopidfile", "--nosyslog"], env)
    manager = programs.window_manager
    session.run(manager[0], manager, env)
    session.wait_for("the window manager", windows.window_manager_up, timeout_s)
    session.wait_for("the D-Bus session", (session.run_dir / "bus").exists, timeout_s)
    for argv in programs.desktop:
        session.run(argv[0], argv, env)
    session.wait_for("the desktop's window", windows.desktop_up, timeout_s)


def _wait_until_still(session: Session, screen: Screen, timeout_s: float) -> Frame:
    """Return the desktop once it is painted: the same picture of many colours for a while."""
    import time

    last: Frame | None = None
    same = 0

    def still() -> bool:
        nonlocal last, same
        frame = screen.grab()
        painted = bool((frame != frame[0, 0]).any())
        same = same + 1 if painted and last is not None and np.array_equal(frame, last) else 0
        last = frame
        time.sleep(_STILL_POLL_S)
        return same >= _STILL_GRABS

    session.wait_for("a still desktop", still, timeout_s)
    assert last is not None
    return last


def _close(opened: _Open | None) -> None:
    if opened is None:
        return
    opened.screen.close()
    opened.site.close()
    opened.session.close()
