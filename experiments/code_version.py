"""Which code a run was begun with."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

PACKAGES = ("data_collection", "experiments", "interactive", "neuralos")


def code_version() -> str:
    """Return the package's version and a digest of its sources, as ``0.1.0+4f0c9d2ab31e``."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    return f"{importlib.metadata.version('neuralos-interactive')}+{digest.hexdigest()[:12]}"
