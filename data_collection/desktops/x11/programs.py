"""Which Debian programs a real desktop needs, and the one line that installs them."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from data_collection.desktops.x11.config import Profile, X11Config

_FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
_SHARED = {
    "Xvfb": "xvfb",
    "dbus-daemon": "dbus-daemon",
    "bash": "bash",
    "script": "bsdutils",
    _FONT: "fonts-dejavu-core",
}
PROGRAMS: dict[str, dict[str, str]] = {
    Profile.LEAN.value: {
        **_SHARED,
        "openbox": "openbox",
        "pcmanfm": "pcmanfm",
        "xterm": "xterm",
    },
    Profile.XFCE.value: {
        **_SHARED,
        "xfwm4": "xfwm4",
        "xfdesktop": "xfdesktop4",
        "xfce4-panel": "xfce4-panel",
        "thunar": "thunar",
        "xfce4-terminal": "xfce4-terminal",
        "xfconf-query": "xfconf",
    },
}
"""Of each profile: the program (or the file) and the Debian package that brings it."""

BROWSER = {"chromium": "chromium"}
PYTHON_PACKAGES = {"mss": "mss", "Xlib": "python-xlib"}
PYTHON_LINE = "pip install 'neuralos-interactive[x11]'"


class ProgramsMissing(RuntimeError):
    """Programs or Python packages that a real desktop needs are not here."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def missing_in(wanted: dict[str, str]) -> dict[str, str]:
    """Return those of ``{program or file: Debian package}`` that are not here."""
    return {name: deb for name, deb in wanted.items() if not _is_here(name)}


def apt_line(missing: dict[str, str]) -> str:
    """Return the one line that installs ``{program: Debian package}``."""
    return f"sudo apt-get install -y {' '.join(sorted(set(missing.values())))}"


def missing_python() -> list[str]:
    """Return the Python packages of the ``x11`` extra that are not here."""
    return sorted(
        package
        for module, package in PYTHON_PACKAGES.items()
        if importlib.util.find_spec(module) is None
    )


def require_programs(config: X11Config) -> None:
    """Return if everything that this desktop needs is here.

    Raises:
        ProgramsMissing: it is not; ``hint`` is the line that installs it.
    """
    packages = missing_python()
    if packages:
        raise ProgramsMissing(
            f"a real desktop needs the Python packages {', '.join(packages)}.", PYTHON_LINE
        )
    wanted = PROGRAMS[config.profile] | (BROWSER if config.browser else {})
    missing = missing_in(wanted)
    if missing:
        raise ProgramsMissing(
            f"the {config.profile} desktop needs {', '.join(sorted(missing))}.", apt_line(missing)
        )


def _is_here(name: str) -> bool:
    return Path(name).exists() if name.startswith("/") else shutil.which(name) is not None
