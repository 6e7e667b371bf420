"""Writes that are on the disk when the call returns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

_sync_data = getattr(os, "fdatasync", os.fsync)


def write(file: IO[bytes], data: bytes) -> None:
    """Write to a file of the store or the spool; what every such write goes through."""
    file.write(data)


def sync_file(file: IO[bytes]) -> None:
    """Return once what was written to the file is on the disk."""
    file.flush()
    _sync_data(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a new, renamed or removed name of the folder durable, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that after a crash it is whole or not there at all."""
    unfinished = path.with_name(path.name + ".tmp")
    with open(unfinished, "wb") as file:
        write(file, data)
        sync_file(file)
    os.replace(unfinished, path)
    sync_folder(path.parent)
