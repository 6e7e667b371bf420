"""What is on this machine: each check names what is missing and the line that mends it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_collection.desktops.x11.programs import (
    BROWSER,
    PROGRAMS,
    PYTHON_LINE,
    PYTHON_PACKAGES,
    apt_line,
    missing_in,
    missing_python,
)

PACKAGES = (
    "torch", "diffusers", "pygame", "wandb", "click", "numpy", "pydantic", "fastapi",
    "uvicorn", "httpx", "mcap", "zstandard", "rich", "safetensors", "PIL",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked for. ``needed`` is false where work goes on without it."""

    name: str
    ok: bool
    needed: bool
    found: str
    mend: str = ""


def has_display() -> bool:
    """Return whether a window can be shown here."""
    if sys.platform.startswith(("win", "darwin")):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", sys.version_info >= (3, 11), True, version, "install Python 3.11+")


def _packages() -> Check:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    return Check(
        "packages",
        not missing,
        True,
        f"missing: {', '.join(missing)}" if missing else f"all {len(PACKAGES)}",
        "make install" if missing else "",
    )


def _gpu() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("gpu", True, False, torch.cuda.get_device_name(0))
    build = importlib.metadata.version("torch")
    mend = "the tiny simulator trains on the CPU; for a GPU install torch's CUDA build"
    return Check("gpu", False, False, f"none (torch {build})", mend)


def _display() -> Check:
    found = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform
    here = has_display()
    mend = "" if here else "log in to a desktop, or use --headless"
    return Check("display", here, False, found if here else "none", mend)


def _desktop_check(name: str, wanted: dict[str, str]) -> Check:
    """Look for the Debian programs of a real desktop."""
    missing = missing_in(wanted)
    return Check(
        name,
        not missing,
        False,
        f"missing: {', '.join(sorted(missing))}" if missing else f"all {len(wanted)} programs",
        apt_line(missing) if missing else "",
    )


def _desktops() -> list[Check]:
    """Look for what each profile of the real desktop needs, and for its browser."""
    missing = missing_python()
    packages = Check(
        "x11 packages",
        not missing,
        False,
        f"missing: {', '.join(missing)}" if missing else ", ".join(PYTHON_PACKAGES.values()),
        PYTHON_LINE if missing else "",
    )
    profiles = [_desktop_check(f"x11 {name}", wanted) for name, wanted in PROGRAMS.items()]
    return [packages, *profiles, _desktop_check("x11 browser", BROWSER)]


def _all_programs() -> list[Check]:
    """Say in one line how to get all of it, and the tests' own program."""
    wanted = {"xdotool": "xdotool", **BROWSER}
    for programs in PROGRAMS.values():
        wanted |= programs
    return [_desktop_check("all programs", wanted)]


def has_wandb_login() -> bool:
    """Return whether Weights & Biases knows who you are."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    netrc = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    return netrc.is_file() and "api.wandb.ai" in netrc.read_text(errors="replace")


def _wandb() -> Check:
    logged_in = has_wandb_login()
    found = "logged in" if logged_in else "no login: runs are kept offline"
    return Check("wandb", logged_in, False, found, "" if logged_in else "wandb login")


def _disk() -> Check:
    free_gib = shutil.disk_usage(Path.cwd()).free / 2**30
    mend = "" if free_gib >= 2 else "free at least 2 GiB"
    return Check("disk", free_gib >= 2, True, f"{free_gib:.0f} GiB free", mend)


CHECKS: tuple[Callable[[], Check | list[Check]], ...] = (
    _python, _packages, _gpu, _display, _desktops, _all_programs, _wandb, _disk,
)  # fmt: skip


def examine() -> list[Check]:
    """Make every check; one that breaks is reported as such."""
    found: list[Check] = []
    for check in CHECKS:
        try:
            made = check()
            found += made if isinstance(made, list) else [made]
        except Exception as error:
            found.append(Check(check.__name__.strip("_"), False, True, f"{error}", "make install"))
    return found
