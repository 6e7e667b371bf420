"""Install, or name, the system programs that only tests need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from data_collection.desktops.x11.programs import BROWSER, PROGRAMS, missing_in

WANTED = {"xdotool": "xdotool", **PROGRAMS["lean"], **BROWSER}


def main(profiles: list[str]) -> int:
    """Announce, then install what is missing where that is possible; else say it.

    Args:
        profiles: profiles of the real desktop whose programs are wanted beside the lean one's.
    """
    wanted = dict(WANTED)
    for profile in profiles:
        wanted |= PROGRAMS[profile]
    missing = missing_in(wanted)
    if not missing:
        return 0
    packages = sorted(set(missing.values()))
    line = f"apt-get install -y {' '.join(packages)}"
    can_install = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")
    if not can_install:
        print(
            f"Missing for the tests of real windows and desktops: {', '.join(sorted(missing))}. "
            f"They will not run. On Debian or Ubuntu: sudo {line}",
            file=sys.stderr,
        )
        return 0
    print(f"Installing what the tests of real windows and desktops need: {line}", file=sys.stderr)
    quiet = {"stdout": subprocess.DEVNULL}
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment, **quiet)
    subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        check=True,
        env=environment,
        **quiet,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
