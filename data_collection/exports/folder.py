"""A folder that appears under its name only when everything in it is written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_collection.exports.exporter import ExportExists, ExportUnwritable
from data_collection.storage.durable import sync_folder

_MARK = ".neuralos-export"


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to write into; it becomes ``out`` when the block ends well.

    A block that fails, or is killed, leaves no ``out``; what a killed one left beside it
    is removed by the next export to the same place.

    Raises:
        ExportExists: ``out``, or a stranger's folder where the work would go, is there.
        ExportUnwritable: the disk does not take it.
    """
    unfinished = out.with_name(out.name + ".unfinished")
    if out.exists() and not _is_empty_folder(out):
        raise ExportExists(out)
    if unfinished.exists():
        # Only what carries our mark is ours to remove.
        if not (unfinished / _MARK).exists():
            raise ExportExists(unfinished)
        shutil.rmtree(unfinished)
    try:
        unfinished.mkdir(parents=True)
        (unfinished / _MARK).touch()
        yield unfinished
        _sync_tree(unfinished)
        os.replace(unfinished, out)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise ExportUnwritable(out, error) from error
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    (out / _MARK).unlink()
    sync_folder(out)
    sync_folder(out.parent)


def files_in(folder: Path) -> tuple[tuple[str, ...], int]:
    """Return the names of all files under a folder, relative to it, and their bytes."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    return names, sum(path.stat().st_size for path in paths)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that people can read, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
