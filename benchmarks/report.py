"""What every benchmark's object says besides its rows: the machine and the versions."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any


def circumstances(packages: Sequence[str]) -> dict[str, Any]:
    """Return ``machine`` and ``versions``: Python's, and those of the packages."""
    return {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "os": sys.platform,
            "load": round(os.getloadavg()[0], 1),
        },
        "versions": {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in packages},
        },
    }
