"""Clips on the recorder's own disk until the server has acknowledged them.

A clip may be held back for a while before it is sent, so that a person can still take it
back unsent. What was taken back after all may have reached the server already: then a
*withdrawal* stays here, durable like a clip, until the server has answered for it.
"""

from __future__ import annotations

import json
import math
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from data_collection.clock import Clock, SystemClock
from data_collection.storage.durable import sync_folder, write_atomic
from data_collection.storage.sink import Cut, SinkError
from data_collection.storage.trace_file import valid_trace_id
from data_collection.trace import TraceHeader

HEADER_FILE = "header.json"
SET_ASIDE_FOLDER = "_set_aside"
"""No trace id begins with an underscore."""

WITHDRAWAL_SUFFIX = ".withdrawal"

MIN_FREE_BYTES = 256 * 2**20


class SpoolFull(SinkError):
    """The disk has too little room left to take another clip."""

    def __init__(self, free_bytes: int, min_free_bytes: int) -> None:
        super().__init__(
            "disk_full",
            f"{free_bytes / 1e6:.0f} MB free, {min_free_bytes / 1e6:.0f} MB are to stay free",
        )


@dataclass(frozen=True, slots=True)
class SpooledClip:
    """A clip that waits to be sent."""

    trace_id: str
    seq: int
    path: Path


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Clips ``first`` to ``last`` of a trace that the server is to destroy."""

    trace_id: str
    first: int
    last: int
    path: Path

    def covers(self, trace_id: str, seq: int) -> bool:
        """Tell whether a clip is among those withdrawn."""
        return trace_id == self.trace_id and self.first <= seq <= self.last


def disk_free_bytes(folder: Path) -> int:
    """Return how much room the folder's disk has for this user."""
    return shutil.disk_usage(folder).free


class Spool:
    """A durable queue of clips; safe to use from the recorder's and the pusher's threads.

    Args:
        root: the spool's folder.
        min_free_bytes: what must stay free on its disk.
        free_bytes: how to ask the disk.
        hold_s: how long a clip is kept back before it may be sent.
        clock: tells how long a clip has been here; across a restart, the file's own time.
    """

    def __init__(
        self,
        root: Path,
        min_free_bytes: int,
        free_bytes: Callable[[Path], int],
        hold_s: float,
        clock: Clock,
    ) -> None:
        self.root = root
        self.hold_s = hold_s
        self._min_free_bytes = min_free_bytes
        self._free_bytes = free_bytes
        self._clock = clock
        # In order of arrival, each with the time from which it may be sent; a dict finds
        # and removes a clip wherever it stands.
        self._waiting: dict[SpooledClip, int] = {}
        self._withdrawals: dict[Withdrawal, None] = {}
        # Clips that a pusher was given, in this process or perhaps in an earlier one.
        self._handed_out: set[tuple[str, int]] = set()
        self._changed = threading.Condition()

    @classmethod
    def open(
        cls,
        root: Path,
        min_free_bytes: int = MIN_FREE_BYTES,
        free_bytes: Callable[[Path], int] = disk_free_bytes,
        hold_s: float = 0.0,
        clock: Clock | None = None,
    ) -> Spool:
        """Open or create the spool of a folder with what an earlier run left in it."""
        root.mkdir(parents=True, exist_ok=True)
        spool = cls(root, min_free_bytes, free_bytes, hold_s, clock or SystemClock())
        spool._take_left_over()
        return spool

    @property
    def disk_free_bytes(self) -> int:
        """The room on the spool's disk."""
        return self._free_bytes(self.root)

    def __len__(self) -> int:
        """Return how many clips wait."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether anything waits to be sent, clip or withdrawal."""
        return bool(self._waiting or self._withdrawals)

    def pending(self) -> list[SpooledClip]:
        """Return the clips that wait, oldest trace first, each trace in order."""
        with self._changed:
            return list(self._waiting)

    def withdrawals(self) -> list[Withdrawal]:
        """Return the withdrawals that no server has answered for yet."""
        with self._changed:
            return list(self._withdrawals)

    def wait(
        self, timeout_s: float, clips_first: bool = False
    ) -> Union[Withdrawal, SpooledClip, None]:
        """Return what to send next; without anything, look once more after a while.

        Args:
            timeout_s: how long to wait at most.
            clips_first: prefer a clip to a withdrawal, which otherwise goes first.
        """
        with self._changed:
            if self._next(clips_first) is None:
                self._changed.wait(min(timeout_s, self._held_s()))
            found = self._next(clips_first)
            if isinstance(found, SpooledClip):
                self._handed_out.add((found.trace_id, found.seq))
            return found

    def release(self) -> None:
        """Hold nothing back any more: nobody is left who could take it back."""
        with self._changed:
            self.hold_s = 0.0
            self._waiting = dict.fromkeys(self._waiting, 0)
            self._changed.notify_all()

    def add_trace(self, header: TraceHeader) -> None:
        """Keep a trace's header; it comes before its clips.

        Raises:
            ValueError: the trace id may not name a folder.
        """
        folder = self._folder(header.trace_id)
        folder.mkdir(exist_ok=True)
        write_atomic(folder / HEADER_FILE, json.dumps(header.to_json()).encode())
        sync_folder(self.root)

    def add_clip(self, trace_id: str, seq: int, body: bytes) -> None:
        """Keep a clip's body; it is on the disk when this returns.

        Raises:
            SpoolFull: too little room is left.
        """
        free_bytes = self.disk_free_bytes
        if free_bytes - len(body) < self._min_free_bytes:
            raise SpoolFull(free_bytes, self._min_free_bytes)
        path = self._folder(trace_id) / f"{seq:08d}.clip"
        write_atomic(path, body)
        with self._changed:
            due_ns = self._clock.monotonic_ns() + round(self.hold_s * 1e9)
            self._waiting[SpooledClip(trace_id, seq, path)] = due_ns
            self._changed.notify_all()

    def withdraw(self, trace_id: str, first: int, last: int) -> Cut:
        """Delete clips ``first`` to ``last``, and have the server destroy those it may have.

        The withdrawal is on the disk before the clips are deleted, and outlives a crash.

        Raises:
            OSError: the withdrawal could not be kept; the clips here are deleted all the same.
        """
        path = self._folder(trace_id) / f"{first:08d}-{last:08d}{WITHDRAWAL_SUFFIX}"
        withdrawal = Withdrawal(trace_id, first, last, path)
        with self._changed:
            here = [clip for clip in self._waiting if withdrawal.covers(clip.trace_id, clip.seq)]
            unsent = sum((clip.trace_id, clip.seq) not in self._handed_out for clip in here)
            cut = Cut(unsent=unsent, sent=last - first + 1 - unsent)
            if cut.sent:
                try:
                    write_atomic(path, b"")
                except OSError:
                    # A full disk: what is deleted makes the room.
                    self._delete(withdrawal, here)
                    write_atomic(path, b"")
                self._withdrawals[withdrawal] = None
            self._delete(withdrawal, here)
            self._changed.notify_all()
        return cut

    def settle(self, withdrawal: Withdrawal) -> None:
        """Forget a withdrawal that the server has answered for."""
        with self._changed:
            withdrawal.path.unlink(missing_ok=True)
            sync_folder(withdrawal.path.parent)
            self._withdrawals.pop(withdrawal, None)

    def header(self, trace_id: str) -> TraceHeader:
        """Return the header of a spooled trace."""
        return _read_header(self._folder(trace_id))

    def body(self, clip: SpooledClip) -> bytes | None:
        """Return a clip's bytes, None if it was withdrawn meanwhile."""
        try:
            return clip.path.read_bytes()
        except FileNotFoundError:
            return None

    def acknowledge(self, clip: SpooledClip) -> None:
        """Delete a clip that the server answered for."""
        clip.path.unlink(missing_ok=True)
        self._forget(clip)

    def set_aside(self, clip: SpooledClip, code: str, hint: str) -> None:
        """Keep a clip that no server takes, with the reason, out of the queue."""
        folder = self.root / SET_ASIDE_FOLDER
        stem = f"{clip.trace_id}.{clip.seq:08d}"
        with self._changed:
            if clip not in self._waiting:
                return
            folder.mkdir(exist_ok=True)
            write_atomic(folder / f"{stem}.reason.txt", f"{code}: {hint}\n".encode())
            clip.path.replace(folder / f"{stem}.clip")
            sync_folder(folder)
            self._forget(clip)

    def _next(self, clips_first: bool) -> Union[Withdrawal, SpooledClip, None]:
        withdrawal = next(iter(self._withdrawals), None)
        clip, due_ns = next(iter(self._waiting.items()), (None, 0))
        if clip is not None and due_ns > self._clock.monotonic_ns():
            clip = None
        if clip is not None and (clips_first or withdrawal is None):
            return clip
        return withdrawal

    def _held_s(self) -> float:
        """Return how long the next clip is still held back."""
        due_ns = next(iter(self._waiting.values()), None)
        if due_ns is None:
            return math.inf
        return max(0.0, (due_ns - self._clock.monotonic_ns()) / 1e9)

    def _delete(self, withdrawal: Withdrawal, here: list[SpooledClip]) -> None:
        for clip in here:
            clip.path.unlink(missing_ok=True)
            self._waiting.pop(clip, None)
        sync_folder(withdrawal.path.parent)
        folder = self.root / SET_ASIDE_FOLDER
        for path in folder.glob(f"{withdrawal.trace_id}.*"):
            if withdrawal.covers(withdrawal.trace_id, int(path.name.split(".")[1])):
                path.unlink()

    def _forget(self, clip: SpooledClip) -> None:
        with self._changed:
            self._waiting.pop(clip, None)
            self._handed_out.discard((clip.trace_id, clip.seq))
            self._changed.notify_all()

    def _folder(self, trace_id: str) -> Path:
        if not valid_trace_id(trace_id):
            raise ValueError(f"bad trace id {trace_id!r}")
        return self.root / trace_id

    def _take_left_over(self) -> None:
        """Take up what an earlier process left: oldest trace first, each in order."""
        folders = [path for path in self.root.iterdir() if (path / HEADER_FILE).is_file()]
        for folder in sorted(folders, key=lambda path: (_read_header(path).anchor_wall_s, path)):
            for unfinished in folder.glob("*.tmp"):
                unfinished.unlink()
            withdrawals = [_withdrawal(path) for path in folder.glob("*" + WITHDRAWAL_SUFFIX)]
            self._withdrawals.update(dict.fromkeys(withdrawals))
            clips = [
                SpooledClip(folder.name, int(path.stem), path)
                for path in sorted(folder.glob("*.clip"))
            ]
            for clip in clips:
                if any(one.covers(clip.trace_id, clip.seq) for one in withdrawals):
                    clip.path.unlink()
                    continue
                self._waiting[clip] = self._clock.monotonic_ns() + self._left_of_hold_ns(clip)
                self._handed_out.add((clip.trace_id, clip.seq))
            if not clips and not withdrawals:
                shutil.rmtree(folder)

    def _left_of_hold_ns(self, clip: SpooledClip) -> int:
        # A wall clock that was set back must not hold a clip for longer than it may be.
        age_s = max(0.0, self._clock.wall_s() - clip.path.stat().st_mtime)
        return round(max(0.0, self.hold_s - age_s) * 1e9)


def _withdrawal(path: Path) -> Withdrawal:
    first, _, last = path.stem.partition("-")
    return Withdrawal(path.parent.name, int(first), int(last), path)


def _read_header(folder: Path) -> TraceHeader:
    return TraceHeader.from_json(json.loads((folder / HEADER_FILE).read_bytes()))
