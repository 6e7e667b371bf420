"""A withdrawal as the trace's own file tells it: enough to rebuild the index's rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from data_collection.storage import trace_file
from data_collection.trace import ClipRow, ClipState, TraceHeader

TOMBSTONE_RECORD = "tombstone"
LAST_SEQ = 2**32 - 1
"""The highest clip number that a trace file can hold."""

_CLIP_FIELDS = (
    "commit",
    "seq",
    "offset",
    "length",
    "body_sha",
    "content_sha",
    "first_frame",
    "frames",
    "weight",
    "captured_wall_s",
    "acknowledged_wall_s",
)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A clip that was taken back.

    ``clip`` is the clip's own row, ``commit`` the withdrawal's number in the order of
    commits, ``purged`` whether the clip's bytes are destroyed.
    """

    clip: ClipRow
    commit: int
    purged: bool = False

    @property
    def row(self) -> ClipRow:
        """The withdrawal as a row in the order of commits."""
        return replace(self.clip, commit=self.commit, weight=0, state=ClipState.TOMBSTONED)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What was withdrawn at once: the clips ``first`` to ``last``, or the ``whole`` trace.

    ``withdrawals`` are those of the clips that were stored by then.
    """

    first: int = 0
    last: int = LAST_SEQ
    whole: bool = True
    withdrawals: tuple[Withdrawal, ...] = ()

    def note(self) -> tuple[str, dict[str, str]]:
        """Return the metadata record's name and map."""
        clips = [_entry(withdrawal) for withdrawal in self.withdrawals]
        return TOMBSTONE_RECORD, {
            "scope": "trace" if self.whole else "clips",
            "first": str(self.first),
            "last": str(self.last),
            "clips": json.dumps(clips, separators=(",", ":")),
        }

    @classmethod
    def of_note(cls, note: dict[str, str], header: TraceHeader) -> Tombstone:
        """Rebuild a tombstone from a note; an old one is empty and speaks of the whole trace.

        Raises:
            ValueError: the note is none of ours.
        """
        try:
            withdrawals = tuple(
                _withdrawal(entry, header) for entry in json.loads(note.get("clips", "[]"))
            )
            first, last = int(note.get("first", 0)), int(note.get("last", LAST_SEQ))
        except (TypeError, KeyError) as error:
            raise ValueError(f"bad tombstone: {error!r}") from None
        return cls(first, last, note.get("scope", "trace") == "trace", withdrawals)


def _entry(withdrawal: Withdrawal) -> dict[str, Any]:
    row = withdrawal.clip.to_json()
    return {
        **{name: row[name] for name in _CLIP_FIELDS},
        "withdrawn": withdrawal.commit,
        "purged": withdrawal.purged,
    }


def _withdrawal(entry: dict[str, Any], header: TraceHeader) -> Withdrawal:
    clip = ClipRow(
        **{name: entry[name] for name in _CLIP_FIELDS},
        trace_id=header.trace_id,
        source=header.source,
        file=trace_file.file_name(header.trace_id),
        frame_source=header.frame_source,
        policy=header.policy,
        state=ClipState.TOMBSTONED,
    )
    return Withdrawal(clip, int(entry["withdrawn"]), bool(entry["purged"]))
