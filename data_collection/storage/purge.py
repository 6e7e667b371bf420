"""The bytes of withdrawn clips destroyed, every other clip left where it is."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Sequence
from pathlib import Path

from data_collection.storage import trace_file
from data_collection.storage.durable import sync_file, write
from data_collection.storage.tombstone import Withdrawal

_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01


def destroy_bodies(path: Path, withdrawals: Sequence[Withdrawal]) -> int:
    """Overwrite the bodies of withdrawn clips in place; return how many bytes went.

    The stamp is durable before the zeros begin, so that a crash in between leaves a body
    that every reader knows as purged and none that looks torn.
    """
    with open(path, "r+b") as file:
        for withdrawal in withdrawals:
            file.seek(withdrawal.clip.offset)
            write(file, trace_file.PURGED_MAGIC)
        sync_file(file)
        for withdrawal in withdrawals:
            file.seek(withdrawal.clip.offset + len(trace_file.PURGED_MAGIC))
            write(file, bytes(withdrawal.clip.length - len(trace_file.PURGED_MAGIC)))
        sync_file(file)
        for withdrawal in withdrawals:
            begin = withdrawal.clip.offset + len(trace_file.PURGED_MAGIC)
            _punch_hole(file.fileno(), begin, withdrawal.clip.offset + withdrawal.clip.length)
    return sum(withdrawal.clip.length for withdrawal in withdrawals)


def _punch_hole(descriptor: int, begin: int, end: int) -> None:
    """Give the zeroed blocks back to the file system, where it can take them."""
    if sys.platform != "linux":
        return
    # Only the room is lost where the library or the file system has no such call.
    with contextlib.suppress(OSError, AttributeError):
        fallocate = ctypes.CDLL(None).fallocate
        fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
        fallocate(descriptor, _PUNCH_HOLE_KEEP_SIZE, begin, end - begin)
