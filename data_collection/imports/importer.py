"""What every import offers, whatever it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from data_collection.storage.store import TraceStore
from data_collection.trace import Consent

Progress = Callable[[int, int], None]
"""Told how many bytes are read, of how many."""


class UnknownFormat(ValueError):
    """No import goes by that name; the message names the nearest."""


class ImportSourceMissing(FileNotFoundError):
    """There is nothing at the place to import from."""

    def __init__(self, source: Path, hint: str) -> None:
        super().__init__(f"nothing to import in {source}")
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """Something odd about a line (from 1) of a file, and what was made of it."""

    file: str
    line: int
    code: str
    hint: str


@dataclass(frozen=True, slots=True)
class ImportedTrace:
    """A trace that now is in the store; not ``new`` if it was there before."""

    id: str
    frames: int
    events: int
    frame_source: str
    new: bool


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What came of an import."""

    traces: tuple[ImportedTrace, ...]
    problems: tuple[ImportProblem, ...]


class Importer(Protocol):
    """Reads recordings of another program into a store."""

    name: str
    summary: str

    def load(
        self,
        source: Path,
        store: TraceStore,
        *,
        consent: Consent = Consent.GIVEN,
        progress: Progress | None = None,
    ) -> ImportReport:
        """Add what is at ``source`` to a store; doing so again changes nothing.

        Args:
            source: a file or a folder.
            store: the open store.
            consent: what the one who imports knows of the recorded people's agreement.
            progress: told as the files are read.

        Raises:
            ImportSourceMissing: there is nothing to import.
        """
        ...
