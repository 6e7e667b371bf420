"""The programs that make up a profile, and what is known of how they lay things out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from data_collection.desktops.x11 import lean
from data_collection.desktops.x11.config import Profile, X11Config
from data_collection.desktops.x11.home import Home
from data_collection.desktops.x11.menus import KnownMenu
from data_collection.desktops.x11.windows import Rect


@dataclass(frozen=True, slots=True)
class ProfilePrograms:
    """One profile: how its HOME is furnished and its desktop started and read."""

    prepare: Callable[[Home], None]
    window_manager: tuple[str, ...]
    """The program that frames windows, started first."""
    desktop: tuple[tuple[str, ...], ...]
    """The programs that make the desktop, started once windows are framed."""
    icon_rects: Callable[[X11Config, list[str]], list[tuple[str, Rect]]]
    menus: tuple[KnownMenu, ...]


PROFILES: dict[str, ProfilePrograms] = {
    Profile.LEAN.value: ProfilePrograms(
        lean.prepare,
        ("openbox", "--sm-disable"),
        (("pcmanfm", "--desktop"),),
        lean.icon_rects,
        lean.MENUS,
    ),
}
