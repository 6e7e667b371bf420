"""The ordered facts of a run: JSON lines with a checksum, durable before they take effect."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from interactive.record.journal import JournalTail, JournalWriter, scan


class EntryKind(str, Enum):
    """What kind of fact an entry states."""

    SESSION = "session"
    """A trainer process took the run up: its fingerprint and the determinism it promises."""
    MARK = "mark"
    """The data up to a commit number were adopted."""
    WITHDRAWAL = "withdrawal"
    """Clips left the data: somebody withdrew them, or their bytes cannot be read."""
    INTERVENTION = "intervention"
    """A command met a boundary: applied, rejected, expired or superseded."""
    FAILURE = "failure"
    """An intervention that was recorded could not be carried out."""
    CHECKPOINT = "checkpoint"
    """A checkpoint of the state before ``step``."""
    EVALUATION = "evaluation"
    """An evaluation's numbers for the state before ``step``."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact.

    ``seq`` is dense from 0 over the run. ``step`` is the first step that runs under the
    fact: an entry made after 40 updates has step 41, on ``branch``. ``wall_s`` is for
    reading; nothing depends on it. ``body`` holds what the kind needs:

    * session: ``fingerprint``, ``determinism``, ``pid``
    * mark: ``mark``
    * withdrawal: ``withdrawn`` (the clips' commit numbers), and ``upto`` (every withdrawal up
      to this commit number is in force), or ``code``, ``hint`` where bytes cannot be read
    * intervention: ``command_id``, ``inbox_seq``, ``issuer {name, kind}``, ``reason``,
      ``command`` (the whole command as JSON), ``state`` (applied | rejected | expired |
      superseded),
      ``old``, ``requested``, ``effective``, ``code``, ``hint`` of a refusal, and
      ``approved_by {name, kind, reason, wall_s}`` where it needed approval, ``supersedes``
      (the id that it took back), ``superseded_by``
    * failure: ``of`` (the seq of the intervention), ``code``, ``hint``
    * checkpoint: ``checkpoint`` (id), ``digest``, ``kept`` (asked for, so never pruned)
    * evaluation: ``evaluation``, ``measures``, ``picture``
    """

    seq: int
    step: int
    branch: str
    kind: EntryKind
    wall_s: float
    body: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the entry as one flat JSON object."""
        head = {
            "seq": self.seq,
            "step": self.step,
            "branch": self.branch,
            "kind": self.kind.value,
            "wall_s": self.wall_s,
        }
        return {**head, **self.body}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Entry:
        """Rebuild an entry from ``to_json``'s object."""
        body = dict(obj)
        return cls(
            seq=int(body.pop("seq")),
            step=int(body.pop("step")),
            branch=str(body.pop("branch")),
            kind=EntryKind(body.pop("kind")),
            wall_s=float(body.pop("wall_s")),
            body=body,
        )


class LedgerDamaged(Exception):
    """A ledger cannot be read; the message names the file and the line."""


class LedgerWriter:
    """The one writer of a run's ledger: an entry is on the disk when it is returned."""

    def __init__(self, journal: JournalWriter, entries: Sequence[Entry]) -> None:
        """Store the open file and the entries that it holds; use ``open``."""
        self._journal = journal
        self.entries = list(entries)

    @classmethod
    def open(cls, path: Path) -> LedgerWriter:
        """Open or make a ledger; a torn last line is cut.

        Raises:
            JournalCorrupt: a line before the last one is damaged.
            LedgerDamaged: the entries are not numbered from 0 without a gap.
        """
        journal = JournalWriter.open(path)
        return cls(journal, read_ledger(path))

    def append(
        self, kind: EntryKind, *, step: int, branch: str, wall_s: float, body: Mapping[str, Any]
    ) -> Entry:
        """Write one fact and return it once it is durable.

        Raises:
            OSError: it could not be written, and never happened.
            ValueError: the body cannot be said in JSON.
        """
        entry = Entry(len(self.entries), step, branch, kind, wall_s, body)
        self._journal.append(entry.to_json())
        self.entries.append(entry)
        return entry

    def close(self) -> None:
        """Close the file."""
        self._journal.close()


class LedgerTail:
    """A reader that follows the ledger of a running trainer."""

    def __init__(self, path: Path) -> None:
        """Store the path; the file need not be there yet."""
        self._tail = JournalTail(path)

    def read_new(self) -> list[Entry]:
        """Return the entries written since the call before."""
        return [Entry.from_json(obj) for obj in self._tail.read_new()]


def read_ledger(path: Path) -> list[Entry]:
    """Return the entries of a run's ledger, or of an exported one (lines without ``crc``).

    Raises:
        JournalCorrupt: a line before the last one of a run's ledger is damaged.
        LedgerDamaged: a line is no entry, or the numbering has a gap.
    """
    if not path.exists():
        return []
    objects = _read_plain(path) if _is_plain(path) else [obj for obj, _ in scan(path)]
    entries = []
    for number, obj in enumerate(objects):
        try:
            entry = Entry.from_json(obj)
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerDamaged(f"{path}: line {number + 1} is no entry: {error}") from error
        if entry.seq != number:
            raise LedgerDamaged(f"{path}: line {number + 1} has seq {entry.seq}, not {number}")
        entries.append(entry)
    return entries


def export_ledger(entries: Iterable[Entry], path: Path) -> None:
    """Write entries as plain JSON lines, to be read, changed and replayed."""
    lines = [json.dumps(entry.to_json(), allow_nan=False) + "\n" for entry in entries]
    path.write_text("".join(lines), "utf-8")


def _is_plain(path: Path) -> bool:
    with open(path, "rb") as file:
        first = file.readline()
    try:
        return "crc" not in json.loads(first)
    except (ValueError, TypeError):
        return False


def _read_plain(path: Path) -> list[dict[str, Any]]:
    objects = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                obj = json.loads(line)
            except ValueError as error:
                raise LedgerDamaged(f"{path}: line {number} is not JSON: {error}") from error
            if not isinstance(obj, dict):
                raise LedgerDamaged(f"{path}: line {number} is not a JSON object")
            objects.append(obj)
    return objects
