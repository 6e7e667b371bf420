"""Clips on the recorder's own disk until the server has acknowledged them."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_collection.storage.durable import sync_folder, write_atomic
from data_collection.storage.sink import SinkError
from data_collection.storage.trace_file import valid_trace_id
from data_collection.trace import TraceHeader

HEADER_FILE = "header.json"
SET_ASIDE_FOLDER = "_set_aside"
"""No trace id begins with an underscore."""

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


def disk_free_bytes(folder: Path) -> int:
    """Return how much room the folder's disk has for this user."""
    return shutil.disk_usage(folder).free


class Spool:
    """A durable queue of clips; safe to use from the recorder's and the pusher's threads."""

    def __init__(
        self,
        root: Path,
        waiting: list[SpooledClip],
        min_free_bytes: int,
        free_bytes: Callable[[Path], int],
    ) -> None:
        self.root = root
        self._min_free_bytes = min_free_bytes
        self._free_bytes = free_bytes
        # In order of arrival; a dict finds and removes a clip wherever it stands.
        self._waiting = dict.fromkeys(waiting)
        self._changed = threading.Condition()

    @classmethod
    def open(
        cls,
        root: Path,
        min_free_bytes: int = MIN_FREE_BYTES,
        free_bytes: Callable[[Path], int] = disk_free_bytes,
    ) -> Spool:
        """Open or create the spool of a folder with what an earlier run left in it.

        Args:
            root: the spool's folder.
            min_free_bytes: what must stay free on its disk.
            free_bytes: how to ask the disk.
        """
        root.mkdir(parents=True, exist_ok=True)
        return cls(root, _left_over(root), min_free_bytes, free_bytes)

    @property
    def disk_free_bytes(self) -> int:
        """The room on the spool's disk."""
        return self._free_bytes(self.root)

    def __len__(self) -> int:
        """Return how many clips wait."""
        return len(self._waiting)

    def pending(self) -> list[SpooledClip]:
        """Return the clips that wait, oldest trace first, each trace in order."""
        with self._changed:
            return list(self._waiting)

    def wait(self, timeout_s: float) -> SpooledClip | None:
        """Return the clip to send next, waiting for one if there is none."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting), timeout_s)
            return next(iter(self._waiting), None)

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
            self._waiting[SpooledClip(trace_id, seq, path)] = None
            self._changed.notify_all()

    def header(self, trace_id: str) -> TraceHeader:
        """Return the header of a spooled trace."""
        return _read_header(self._folder(trace_id))

    def acknowledge(self, clip: SpooledClip) -> None:
        """Delete a clip that the server answered for."""
        clip.path.unlink(missing_ok=True)
        self._forget(clip)

    def set_aside(self, clip: SpooledClip, code: str, hint: str) -> None:
        """Keep a clip that no server takes, with the reason, out of the queue."""
        folder = self.root / SET_ASIDE_FOLDER
        folder.mkdir(exist_ok=True)
        stem = f"{clip.trace_id}.{clip.seq:08d}"
        write_atomic(folder / f"{stem}.reason.txt", f"{code}: {hint}\n".encode())
        clip.path.replace(folder / f"{stem}.clip")
        sync_folder(folder)
        self._forget(clip)

    def _forget(self, clip: SpooledClip) -> None:
        with self._changed:
            self._waiting.pop(clip, None)
            self._changed.notify_all()

    def _folder(self, trace_id: str) -> Path:
        if not valid_trace_id(trace_id):
            raise ValueError(f"bad trace id {trace_id!r}")
        return self.root / trace_id


def _left_over(root: Path) -> list[SpooledClip]:
    traces = []
    for folder in root.iterdir():
        if not (folder / HEADER_FILE).is_file():
            continue
        for unfinished in folder.glob("*.tmp"):
            unfinished.unlink()
        clips = sorted(folder.glob("*.clip"))
        if clips:
            traces.append((_read_header(folder).anchor_wall_s, folder.name, clips))
        else:
            shutil.rmtree(folder)
    return [
        SpooledClip(trace_id, int(path.stem), path)
        for _, trace_id, clips in sorted(traces)
        for path in clips
    ]


def _read_header(folder: Path) -> TraceHeader:
    return TraceHeader.from_json(json.loads((folder / HEADER_FILE).read_bytes()))
