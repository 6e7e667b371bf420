"""What every export offers, whatever its layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from data_collection.storage.index import TraceSummary
from data_collection.trace import ClipRow

RowsOf = Callable[[str], Sequence[ClipRow]]
"""The rows of a trace by its id, such as ``store.index.trace_rows``."""

Progress = Callable[[int, int], None]
"""Told how many frames are done, of how many."""

Source = Literal["real", "simulator", "any"]


class UnknownFormat(ValueError):
    """No export or import goes by that name; the message names the nearest."""


class ExportExists(FileExistsError):
    """The place of an export is taken."""

    def __init__(self, out: Path) -> None:
        super().__init__(f"{out} is there already")
        self.hint = "name another folder, or remove this one"


class ExportUnwritable(OSError):
    """The disk did not take the export; nothing of it is left."""

    def __init__(self, out: Path, error: OSError) -> None:
        super().__init__(f"{out} could not be written: {error.strerror or error}")
        self.hint = "nothing of it is left; make room there, or name another folder"


class NothingToExport(ValueError):
    """Nothing of what was asked for may be exported; ``hint`` says why."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What can be chosen about an export.

    ``lossless`` keeps every pixel; else video is compressed with constant rate factor
    ``crf`` (lower is better, 0 the best, 51 the worst). ``frame_source`` chooses the traces
    by where their frames came from. ``segment_frames`` is the length of a WebDataset sample;
    ``shard_bytes`` bounds a file of several traces.
    """

    lossless: bool = False
    crf: int = 18
    frame_source: Source = "real"
    segment_frames: int = 32
    shard_bytes: int = 256 * 2**20

    def __post_init__(self) -> None:
        """Refuse what no encoder can do.

        Raises:
            ValueError: a value lies outside its range.
        """
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf {self.crf} lies outside 0..51")
        if self.segment_frames < 1 or self.shard_bytes < 1:
            raise ValueError("segment_frames and shard_bytes must be >= 1")


DEFAULTS = ExportOptions()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A trace, or a clip of it, that was not exported, and why."""

    trace: str
    clip: int | None
    code: str
    hint: str


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote.

    ``files`` are relative to the export's folder; ``traces`` are those of which something is in
    them, ``episodes`` the stretches of consecutive clips (a trace with a gap has several).
    """

    traces: tuple[str, ...]
    files: tuple[str, ...]
    episodes: int
    frames: int
    bytes: int
    left_out: tuple[LeftOut, ...] = field(default=())


class Exporter(Protocol):
    """Writes traces in another layout."""

    name: str
    summary: str

    def export(
        self,
        root: Path,
        traces: Sequence[TraceSummary],
        rows_of: RowsOf,
        out: Path,
        *,
        options: ExportOptions = DEFAULTS,
        progress: Progress | None = None,
    ) -> ExportReport:
        """Write traces of a store into a new folder; it appears only when it is whole.

        Args:
            root: the store's folder.
            traces: which ones, in this order.
            rows_of: gives the rows of each.
            out: the folder to make.
            options: what can be chosen.
            progress: told after every clip.

        Returns:
            What was written, and what was left out and why.

        Raises:
            ExportExists: ``out`` is there already.
            ExportUnwritable: the disk is full, or does not take it.
            NothingToExport: nothing of these traces may be exported.
            ExtraMissing: a package is not installed.
            ClipCorrupt: a clip's bytes are damaged.
        """
        ...
