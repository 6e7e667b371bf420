"""The rows of ``metrics.jsonl``: what each step did, exactly."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interactive.record.journal import JournalTail, JournalWriter, scan
from interactive.trainer import StepRecord

COMPARED = ("mark", "lr", "commits", "loss_bits", "grad_norm_bits", "digest", "entries")
"""The fields in which a redone or replayed step must equal its record; the first one that
differs is named, so causes stand before symptoms."""


@dataclass(frozen=True, slots=True)
class MetricsRow:
    """One step of one branch.

    ``loss_bits`` and ``grad_norm_bits`` are the IEEE-754 doubles in hexadecimal;
    ``entries`` is the number of ledger entries that the step ran under; ``wall_s``,
    ``timings_s`` and ``extra`` are for reading only.
    """

    branch: str
    step: int
    loss: float
    loss_bits: str
    grad_norm: float
    grad_norm_bits: str
    lr: float
    digest: str | None
    mark: int
    commits: tuple[int, ...]
    entries: int
    wall_s: float
    timings_s: Mapping[str, float] = field(default_factory=dict)
    extra: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, record: StepRecord, *, branch: str, mark: int, entries: int, wall_s: float
    ) -> MetricsRow:
        """Return the row of a step that was made on a branch under a mark."""
        return cls(
            branch=branch,
            step=record.step,
            loss=record.loss,
            loss_bits=float_bits(record.loss),
            grad_norm=record.grad_norm,
            grad_norm_bits=float_bits(record.grad_norm),
            lr=record.lr,
            digest=record.digest,
            mark=mark,
            commits=tuple(record.commits),
            entries=entries,
            wall_s=wall_s,
            timings_s=record.timings_s,
            extra=record.extra,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the row as a JSON object; NaN and the infinities become strings."""
        return {
            "branch": self.branch,
            "step": self.step,
            "loss": json_number(self.loss),
            "loss_bits": self.loss_bits,
            "grad_norm": json_number(self.grad_norm),
            "grad_norm_bits": self.grad_norm_bits,
            "lr": json_number(self.lr),
            "digest": self.digest,
            "mark": self.mark,
            "commits": self.commits,
            "entries": self.entries,
            "wall_s": self.wall_s,
            "timings_s": {name: json_number(x) for name, x in self.timings_s.items()},
            "extra": {name: json_number(x) for name, x in self.extra.items()},
        }

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> MetricsRow:
        """Rebuild a row from ``to_json``'s object."""
        numbers = {name: float(obj[name]) for name in ("loss", "grad_norm", "lr")}
        return cls(
            **{
                **obj,
                **numbers,
                "commits": tuple(obj["commits"]),
                "timings_s": {name: float(x) for name, x in obj["timings_s"].items()},
                "extra": {name: float(x) for name, x in obj["extra"].items()},
            }
        )


def float_bits(value: float) -> str:
    """Return the bits of a double as 16 hexadecimal digits."""
    return struct.pack(">d", value).hex()


def json_number(value: float) -> float | str:
    """Return a number as JSON can hold it: "NaN", "Infinity" and "-Infinity" are strings."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def json_safe(value: Any) -> Any:
    """Return a JSON object with NaN and the infinities as strings, at any depth."""
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, Mapping):
        return {str(name): json_safe(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    return value


class MetricsWriter:
    """The one writer of a run's metrics; a row reaches the system at once, the disk at ``sync``."""

    def __init__(self, journal: JournalWriter) -> None:
        """Store the open file; use ``open``."""
        self._journal = journal

    @classmethod
    def open(cls, path: Path) -> MetricsWriter:
        """Open or make the file; a torn last row is cut.

        Raises:
            JournalCorrupt: a row before the last one is damaged.
        """
        return cls(JournalWriter.open(path))

    @property
    def rows(self) -> int:
        """Return the number of rows in the file."""
        return self._journal.lines

    def append(self, row: MetricsRow) -> None:
        """Write one row.

        Raises:
            OSError: it could not be written, and never happened.
        """
        self._journal.append(row.to_json(), durable=False)

    def sync(self) -> None:
        """Make every row durable."""
        self._journal.sync()

    def close(self) -> None:
        """Close the file."""
        self._journal.close()


class MetricsTail:
    """A reader that follows the metrics of a running trainer."""

    def __init__(self, path: Path) -> None:
        """Store the path; the file need not be there yet."""
        self._tail = JournalTail(path)

    def read_new(self) -> list[MetricsRow]:
        """Return the rows written since the call before."""
        return [MetricsRow.from_json(obj) for obj in self._tail.read_new()]


def read_metrics(path: Path, *, after: int = 0) -> Iterator[MetricsRow]:
    """Yield the rows after the first ``after`` ones, in file order.

    Raises:
        JournalCorrupt: a row before the last one is damaged.
    """
    for number, (obj, _) in enumerate(scan(path)):
        if number >= after:
            yield MetricsRow.from_json(obj)
