"""The sign that a run's own window is open: its process id in ``window.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interactive.record.durable import write_whole
from interactive.record.run_folder import RunFolder


@contextmanager
def window_sign(folder: RunFolder) -> Iterator[None]:
    """Show the sign while the block runs."""
    path = _path(folder)
    write_whole(path, json.dumps({"pid": os.getpid()}) + "\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def window_pid(folder: RunFolder) -> int | None:
    """Return the process id of the run's window, if its sign is there."""
    try:
        return int(json.loads(_path(folder).read_text("utf-8"))["pid"])
    except (OSError, ValueError, KeyError):
        return None


def _path(folder: RunFolder) -> Path:
    return folder.path / "window.json"
