"""Recordings of other programs as traces: ``FORMATS`` by name."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from data_collection.imports.demo_logs import DemoLogs
from data_collection.imports.importer import (
    ImportedTrace,
    Importer,
    ImportProblem,
    ImportReport,
    ImportSourceMissing,
    UnknownFormat,
)

__all__ = [
    "FORMATS",
    "ImportProblem",
    "ImportReport",
    "ImportSourceMissing",
    "ImportedTrace",
    "Importer",
    "UnknownFormat",
    "importer_named",
]

FORMATS: Mapping[str, Importer] = {importer.name: importer for importer in (DemoLogs(),)}


def importer_named(name: str) -> Importer:
    """Return the importer of that name.

    Raises:
        UnknownFormat: there is none.
    """
    if name not in FORMATS:
        nearest = get_close_matches(name, FORMATS, n=1, cutoff=0.0)[0]
        raise UnknownFormat(
            f"no import {name!r}; did you mean {nearest!r}? There are: {', '.join(FORMATS)}"
        )
    return FORMATS[name]
