"""Traces in the layouts of other programs: ``FORMATS`` by name."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from data_collection.exports.exporter import (
    Exporter,
    ExportExists,
    ExportOptions,
    ExportReport,
    ExportUnwritable,
    LeftOut,
    NothingToExport,
    UnknownFormat,
)
from data_collection.exports.lerobot import LeRobotExporter
from data_collection.exports.mp4 import Mp4Exporter
from data_collection.exports.webdataset import WebDatasetExporter
from data_collection.extras import ExtraMissing

__all__ = [
    "FORMATS",
    "ExportExists",
    "ExportOptions",
    "ExportReport",
    "ExportUnwritable",
    "Exporter",
    "ExtraMissing",
    "LeftOut",
    "NothingToExport",
    "UnknownFormat",
    "exporter_named",
]

FORMATS: Mapping[str, Exporter] = {
    exporter.name: exporter for exporter in (LeRobotExporter(), WebDatasetExporter(), Mp4Exporter())
}


def exporter_named(name: str) -> Exporter:
    """Return the exporter of that name.

    Raises:
        UnknownFormat: there is none.
    """
    if name not in FORMATS:
        nearest = get_close_matches(name, FORMATS, n=1, cutoff=0.0)[0]
        raise UnknownFormat(
            f"no export {name!r}; did you mean {nearest!r}? There are: {', '.join(FORMATS)}"
        )
    return FORMATS[name]
