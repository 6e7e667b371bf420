"""The whole clips and tombstones that a trace's file holds, with the rows they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Union

from data_collection.storage import trace_file
from data_collection.storage.codec import (
    ClipCorrupt,
    ClipLimits,
    body_sha,
    clip_weight,
    content_sha,
    decode_clip,
    decode_meta,
)
from data_collection.storage.tombstone import TOMBSTONE_RECORD, Tombstone
from data_collection.trace import ClipRow, TraceHeader


@dataclass(frozen=True, slots=True)
class FoundClip:
    """A whole clip in a file; its row has the number of its commit record, 0 without one."""

    row: ClipRow
    record: trace_file.BodyRecord

    @property
    def commit(self) -> int:
        """The number it claims."""
        return self.row.commit


@dataclass(frozen=True, slots=True)
class FoundTombstone:
    """A tombstone in a file."""

    trace_id: str
    tombstone: Tombstone

    @property
    def commit(self) -> int:
        """The first number it claims, 0 if it withdrew no clip."""
        return min((w.commit for w in self.tombstone.withdrawals), default=0)


Found = Union[FoundClip, FoundTombstone]


@dataclass(frozen=True, slots=True)
class FileScan:
    """The whole records of a file from some place on, and what follows them (bytes).

    ``gaps`` are unreadable stretches between records, begin and end.
    """

    found: list[Found]
    end: int
    cut_bytes: int
    reason: str
    gaps: list[tuple[int, int]]


def scan_file(path: Path, header: TraceHeader, start: int = 0) -> FileScan:
    """Read a trace's file from ``start`` on; damage costs what it hit, not what follows.

    Args:
        path: the file.
        header: the trace's header.
        start: where a record begins; 0 for the whole file.
    """
    found: list[Found] = []
    gaps: list[tuple[int, int]] = []
    end = reached = start
    reason = ""
    while True:
        for record in trace_file.scan(path, reached):
            reached = record.end
            try:
                one = _found(path, header, record)
            except (ClipCorrupt, ValueError) as error:
                # Whole clips may follow a damaged one: only what comes after the last is torn.
                reason = str(error)
                continue
            end = record.end
            if one is not None:
                found.append(one)
        cut_bytes, torn = trace_file.torn_tail(path, reached)
        following = trace_file.next_commit(path, reached + 1) if cut_bytes else None
        if following is None:
            break
        gaps.append((reached, following))
        reason = f"{following - reached} bytes before {following} are unreadable"
        reached = following
    cut_bytes, torn = trace_file.torn_tail(path, end)
    return FileScan(found, end, cut_bytes, reason or torn, [gap for gap in gaps if gap[1] <= end])


def _found(
    path: Path, header: TraceHeader, record: trace_file.BodyRecord | trace_file.NoteRecord
) -> Found | None:
    """Tell what a record is; None for one that says nothing new.

    Raises:
        ClipCorrupt: the clip is damaged.
        ValueError: the tombstone is.
    """
    if isinstance(record, trace_file.BodyRecord):
        return None if record.is_purged else FoundClip(_row(path, header, record), record)
    if record.name == TOMBSTONE_RECORD:
        return FoundTombstone(header.trace_id, Tombstone.of_note(record.note, header))
    return None


def _row(path: Path, header: TraceHeader, record: trace_file.BodyRecord) -> ClipRow:
    """Return the row of a body, from its commit record or, without one, from its frames.

    Raises:
        ClipCorrupt: the body is damaged or another trace's.
    """
    limits = ClipLimits.of_header(header)
    noted = record.commit
    if noted is None:
        clip = decode_clip(record.body, limits)
        weight = clip_weight(clip) if header.frame_source == "real" else 0
        # Nobody noted when it was acknowledged; the file was last written then.
        noted = trace_file.CommitRecord(0, path.stat().st_mtime, weight, content_sha(clip))
    meta = decode_meta(record.body, limits)
    if meta.trace_id != header.trace_id:
        raise ClipCorrupt("place", f"the body is {meta.trace_id}/{meta.seq}")
    return ClipRow(
        commit=noted.commit,
        trace_id=header.trace_id,
        seq=meta.seq,
        source=header.source,
        file=path.name,
        offset=record.offset,
        length=len(record.body),
        body_sha=body_sha(record.body),
        content_sha=noted.content_sha,
        first_frame=meta.first_frame,
        frames=len(meta.t_mono_ns),
        weight=noted.weight,
        frame_source=header.frame_source,
        policy=header.policy,
        captured_wall_s=header.wall_s(meta.t_mono_ns[-1]),
        acknowledged_wall_s=noted.acknowledged_wall_s,
    )
