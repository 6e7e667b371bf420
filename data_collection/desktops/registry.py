"""Desktops by name."""

from __future__ import annotations

from difflib import get_close_matches

from data_collection.desktops.desktop import Desktop
from data_collection.desktops.scripted import ScriptedConfig, ScriptedDesktop
from data_collection.desktops.x11.config import Profile, X11Config

DESKTOPS = ("scripted", "x11")
PROFILES = tuple(profile.value for profile in Profile)
"""What runs on the x11 desktop."""


class UnknownDesktop(ValueError):
    """No desktop goes by that name; the message names the nearest."""


def make_desktop(
    name: str, width_px: int = 512, height_px: int = 384, profile: str = PROFILES[0]
) -> Desktop:
    """Return a desktop of that name; ``reset`` brings it up.

    Args:
        name: ``scripted`` or ``x11``.
        width_px: of its screen.
        height_px: of its screen.
        profile: what runs on an x11 desktop; others have none.

    Raises:
        UnknownDesktop: there is none.
        ValueError: it cannot have that size, or there is no such profile.
        ProgramsMissing: what it is made of is not installed; ``hint`` is the line that does.
    """
    if name == "scripted":
        return ScriptedDesktop(ScriptedConfig(width_px=width_px, height_px=height_px))
    if name == "x11":
        # Its packages are an extra.
        from data_collection.desktops.x11 import X11Desktop, require_programs

        config = X11Config(profile=profile, width_px=width_px, height_px=height_px)
        require_programs(config)
        return X11Desktop(config)
    nearest = get_close_matches(name, DESKTOPS, n=1, cutoff=0.0)[0]
    raise UnknownDesktop(f"no desktop {name!r}; did you mean {nearest!r}?")
