"""A real desktop: its own display server, HOME and D-Bus, new in every session."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from data_collection.desktops.x11.config import X11Config
from data_collection.desktops.x11.opening import Opened, close_desktop, open_desktop
from data_collection.desktops.x11.profiles import PROFILES
from data_collection.desktops.x11.programs import require_programs
from data_collection.desktops.x11.screen import deaths_named
from data_collection.desktops.x11.session import Session, X11Died
from data_collection.events import Event
from data_collection.trace import Frame

_DISK_EVERY_STEPS = 15
_START_GRID_PX = 8


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
        self._open: Opened | None = None
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
            self._open = open_desktop(self.config, self._programs)
        finally:
            close_desktop(before)
        self._tick = 0
        rng = np.random.Generator(np.random.Philox(seed))
        with deaths_named(self._opened().session):
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
        with deaths_named(opened.session):
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
        with deaths_named(opened.session):
            return opened.reader.state(self._tick, opened.injector.x_px, opened.injector.y_px)

    def close(self) -> None:
        """End the session; nothing of it is left. Closing twice is fine."""
        opened, self._open = self._open, None
        close_desktop(opened)

    def _opened(self) -> Opened:
        if self._open is None:
            raise X11Died(f"{self.name} is not started")
        return self._open

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
