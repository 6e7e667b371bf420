"""The doctor names what a real desktop lacks, and the one line that installs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.doctor import Check, examine


def check_named(name: str) -> Check:
    return next(check for check in examine() if check.name == name)


def test_missing_programs_come_with_one_apt_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("Xvfb", "dbus-daemon", "bash", "script", "openbox", "xterm"):
        (tmp_path / program).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    lean = check_named("x11 lean")
    assert not lean.ok
    assert not lean.needed
    assert "pcmanfm" in lean.found
    assert "openbox" not in lean.found
    assert lean.mend.startswith("sudo apt-get install -y ")
    assert "pcmanfm" in lean.mend.split()
    assert check_named("x11 browser").mend == "sudo apt-get install -y chromium"
    everything = check_named("all programs").mend.split()
    assert {"pcmanfm", "chromium", "xfwm4", "thunar", "xdotool"} <= set(everything)
    assert len(everything) == len(set(everything))


def test_a_missing_python_package_comes_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "data_collection.desktops.x11.programs.PYTHON_PACKAGES", {"no_such_module": "no-such"}
    )
    packages = check_named("x11 packages")
    assert packages.found == "missing: no-such"
    assert packages.mend == "pip install 'neuralos-interactive[x11]'"
