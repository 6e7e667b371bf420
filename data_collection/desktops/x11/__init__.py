"""A real desktop under Xvfb: real window manager, file manager, terminal and browser."""

from data_collection.desktops.x11.config import Profile, X11Config
from data_collection.desktops.x11.desktop import X11Desktop, create_x11
from data_collection.desktops.x11.programs import ProgramsMissing, require_programs
from data_collection.desktops.x11.session import X11Died

__all__ = [
    "Profile",
    "ProgramsMissing",
    "X11Config",
    "X11Desktop",
    "X11Died",
    "create_x11",
    "require_programs",
]
