"""Desktops by name."""

from __future__ import annotations

from difflib import get_close_matches

from data_collection.desktops.desktop import Desktop
from data_collection.desktops.scripted import ScriptedConfig, ScriptedDesktop

DESKTOPS = ("scripted",)
PROFILES = ("lean", "xfce")
"""What runs on the x11 desktop."""


class UnknownDesktop(ValueError):
    """No desktop goes by that name; the message names the nearest."""


def make_desktop(
    name: str, width_px: int = 512, height_px: int = 384, profile: str = "lean"
) -> Desktop:
    """Return a desktop of that name; its first ``reset`` starts what has to be started.

    Args:
        name: ``scripted`` or ``x11``.
        width_px: of its screen.
        height_px: of its screen.
        profile: what runs on an x11 desktop, ``lean`` or ``xfce``; others have none.

    Raises:
        UnknownDesktop: there is none.
        ValueError: it cannot have that size.
    """
    if name == "scripted":
        return ScriptedDesktop(ScriptedConfig(width_px=width_px, height_px=height_px))
    if name == "x11":
        # Its packages are an extra, and it is named only where it is wanted.
        from data_collection.desktops.x11 import X11Config, X11Desktop

        return X11Desktop(X11Config(profile=profile, width_px=width_px, height_px=height_px))
    nearest = get_close_matches(name, DESKTOPS, n=1, cutoff=0.0)[0]
    raise UnknownDesktop(f"no desktop {name!r}; did you mean {nearest!r}?")
