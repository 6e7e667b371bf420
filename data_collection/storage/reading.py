"""Clips and frames read from a store's files by their rows; any process may, without the index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_collection.storage import trace_file
from data_collection.storage.codec import (
    DEFAULT_LIMITS,
    ClipCorrupt,
    ClipLimits,
    body_sha,
    decode_clip,
    decode_frames,
    frame_shape,
)
from data_collection.storage.tombstone import TOMBSTONE_RECORD, Tombstone
from data_collection.trace import Clip, ClipRow


def read_clip(root: Path, row: ClipRow, limits: ClipLimits = DEFAULT_LIMITS) -> Clip:
    """Read the clip that a row places.

    Args:
        root: the store's folder.
        row: a row of that store.
        limits: what to allocate at most.

    Raises:
        ClipCorrupt: the bytes are not there or not the ones the row speaks of; code
            ``purged`` if they were destroyed after the clip was withdrawn.
    """
    clip = decode_clip(read_body(root, row, limits), limits)
    if (clip.trace_id, clip.seq) != (row.trace_id, row.seq):
        raise ClipCorrupt("place", f"the body is {clip.trace_id}/{clip.seq}")
    return clip


def read_frames(
    root: Path, rows: Sequence[ClipRow], first_frame: int, count: int
) -> npt.NDArray[np.uint8]:
    """Read a window of a trace's frames, decoding the clips it touches and no others.

    Args:
        root: the store's folder.
        rows: rows of one trace, any superset of the clips that the window touches.
        first_frame: the trace-wide index of the window's first frame.
        count: how many frames, at least one.

    Returns:
        uint8 (count, height, width, 3).

    Raises:
        IndexError: the rows do not hold every frame of the window.
        ClipCorrupt: as ``read_clip``.
    """
    window: npt.NDArray[np.uint8] | None = None
    filled = 0
    for row in rows:
        begin = max(first_frame, row.first_frame)
        end = min(first_frame + count, row.first_frame + row.frames)
        if begin >= end:
            continue
        body = read_body(root, row)
        if window is None:
            window = np.empty((count, *frame_shape(body)), np.uint8)
        out = window[begin - first_frame : end - first_frame]
        decode_frames(body, begin - row.first_frame, end - row.first_frame, out)
        filled += end - begin
    if window is None or filled != count:
        raise IndexError(f"the rows hold {filled} of {count} frames from {first_frame}")
    return window


def read_body(root: Path, row: ClipRow, limits: ClipLimits = DEFAULT_LIMITS) -> bytes:
    """Read the body that a row places and check that it is the one acknowledged.

    Raises:
        ClipCorrupt: as ``read_clip``.
    """
    if row.file != trace_file.file_name(row.trace_id):
        raise ClipCorrupt("file", f"{row.file!r} is not the file of {row.trace_id}")
    if row.length > limits.body_bytes:
        raise ClipCorrupt("length", f"{row.length} bytes")
    path = root / row.file
    try:
        with open(path, "rb") as file:
            file.seek(row.offset)
            body = file.read(row.length)
        if len(body) == row.length and body_sha(body) == row.body_sha:
            return body
        purged = body.startswith(trace_file.PURGED_MAGIC) or _is_purged(path, row)
    except OSError as error:
        raise ClipCorrupt("file", str(error)) from None
    if purged:
        raise ClipCorrupt("purged", "the clip was withdrawn and its bytes are destroyed")
    if len(body) != row.length:
        raise ClipCorrupt("length", f"{len(body)} of {row.length} bytes")
    raise ClipCorrupt("body_sha", "these are not the bytes that were acknowledged")


def _is_purged(path: Path, row: ClipRow) -> bool:
    """Look for the row in the tombstones of a file that shrank when its trace was purged."""
    try:
        header = trace_file.read_header(path)
        for record in trace_file.scan(path):
            if isinstance(record, trace_file.NoteRecord) and record.name == TOMBSTONE_RECORD:
                withdrawals = Tombstone.of_note(record.note, header).withdrawals
                if any(w.purged and w.clip.body_sha == row.body_sha for w in withdrawals):
                    return True
    except ValueError:
        return False
    return False
