"""A run that begins with trained weights: a shipped base, or a checkpoint of another run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interactive.record.run_folder import RunFolder
from neuralos.bases import UnknownBase, base_folder, base_names
from neuralos.config import ConfigError, Document, read_document

_TAKEN_OVER = ("simulator", "objective", "lanes")
"""Sections that a run has from what it begins with, but for what it says itself."""
_CONFIG_FILE = "config.toml"


def start_folder(name: str) -> Path:
    """Return the folder of a shipped base, or the folder of a checkpoint.

    Raises:
        ConfigError: it is neither.
    """
    if name in base_names():
        return base_folder(name)
    if Path(name).is_dir():
        return Path(name).resolve()
    try:
        return base_folder(name)
    except UnknownBase as error:
        message = f"training start: {error}, and there is no folder of a checkpoint either"
        raise ConfigError(message) from None


def laid_over_start(document: Document, name: str) -> Document:
    """Return a configuration with the sizes and the training of what it begins with.

    Raises:
        ConfigError: there is nothing of that name, or the sizes asked for are others.
    """
    # Read here, for it imports torch.
    from neuralos.weights import SIZES_FILE

    folder = start_folder(name)
    found = dict(read_document(folder / SIZES_FILE).tables)
    if (folder / _CONFIG_FILE).is_file():
        found = {**read_document(folder / _CONFIG_FILE).tables, **found}
    tables = dict(document.tables)
    for section in _TAKEN_OVER:
        tables[section] = _laid_over(found.get(section, {}), document.tables.get(section, {}))
    if tables["simulator"] != found["simulator"]:
        raise ConfigError(
            f"{document.name}: [simulator] is another one than that of {name!r}, with which "
            "training is to start; leave the section out"
        )
    return Document(document.name, tables)


def keep_start(run: RunFolder, name: str) -> None:
    """Copy what a run begins with into it, so that a replay begins with the same bits."""
    if run.start.is_dir():
        return
    from neuralos.weights import ABOUT_FILE, SIZES_FILE, WEIGHTS_FILE

    partial = run.path / ".partial-start"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for file in (WEIGHTS_FILE, ABOUT_FILE, SIZES_FILE):
        shutil.copyfile(start_folder(name) / file, partial / file)
    os.replace(partial, run.start)


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            value = _laid_over(under, value)
        merged[key] = value
    return merged
