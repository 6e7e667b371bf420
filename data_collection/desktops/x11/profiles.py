"""The programs that make up a profile, and what is known of how they lay things out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from data_collection.desktops.x11 import lean, xfce
from data_collection.desktops.x11.config import Profile, X11Config
from data_collection.desktops.x11.home import Home
from data_collection.desktops.x11.menus import KnownMenu
from data_collection.desktops.x11.windows import Rect
from data_collection.desktops.x11.xfce_icons import find_icons
from data_collection.trace import Frame

READY = "window-manager-ready"
"""A file in the session's HOME, where programs start."""


class Icons(Protocol):
    """Knows where the icons of the desktop lie."""

    def rects(self, folders: Sequence[str]) -> list[tuple[str, Rect]]:
        """Return the icons by name; ``folders`` are those on the desktop now."""
        ...


@dataclass(frozen=True, slots=True)
class NameDialog:
    """The question for a new folder's name."""

    title: str
    line_at: float
    """Where its line for the name begins, as a share of its height."""


@dataclass(frozen=True, slots=True)
class ProfilePrograms:
    """One profile: how its HOME is furnished and its desktop started and read."""

    prepare: Callable[[Home], None]
    window_manager: tuple[str, ...]
    """The program that frames windows, started first."""
    desktop: tuple[tuple[str, ...], ...]
    """The programs that make the desktop, started once windows are framed."""
    icons: Callable[[X11Config, Frame], Icons | None]
    """Given a frame of a desktop without windows; None where its icons are not drawn yet."""
    menus: tuple[KnownMenu, ...]
    name_dialog: NameDialog
    taskbar: Callable[[X11Config, int], list[Rect]] = lambda config, windows: []
    """Where the panel has its buttons for so many windows."""
    tells_when_ready: bool = False
    """Whether the window manager makes the file ``READY`` once it has started."""
    has_panel: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


PROFILES: dict[str, ProfilePrograms] = {
    Profile.LEAN.value: ProfilePrograms(
        prepare=lean.prepare,
        # A window that comes while openbox is still starting may be left unmapped for good.
        window_manager=("openbox", "--sm-disable", "--startup", f"touch {READY}"),
        tells_when_ready=True,
        desktop=(("pcmanfm", "--desktop"),),
        icons=lean.find_icons,
        menus=lean.MENUS,
        name_dialog=NameDialog("Creating New Folder", 0.5),
        # Each row of a menu is then a window, and can be found.
        env={"GDK_NATIVE_WINDOWS": "1"},
    ),
    Profile.XFCE.value: ProfilePrograms(
        prepare=xfce.prepare,
        window_manager=("xfwm4", "--compositor=off"),
        desktop=(
            ("xfdesktop", "--disable-wm-check"),
            ("xfce4-panel", "--disable-wm-check"),
        ),
        icons=find_icons,
        menus=xfce.MENUS,
        name_dialog=NameDialog("Create New Folder", 0.28),
        taskbar=xfce.taskbar_rects,
        has_panel=True,
    ),
}
