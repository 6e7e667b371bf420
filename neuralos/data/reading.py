"""Reads the clips of a batch from the store, in threads where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from data_collection.events import Event
from data_collection.storage.codec import ClipCorrupt
from data_collection.storage.store import read_clip
from data_collection.trace import Clip, ClipRow
from neuralos.data.encode import Frames, reduce_frames

ClipEvents = tuple[tuple[Event, ...], ...]
OpenClip = Callable[[ClipRow], Clip]


class ClipsUnreadable(Exception):
    """Clips that rows speak of are not there any more, or are not the ones acknowledged."""

    def __init__(self, why: dict[int, str]) -> None:
        """Store what is wrong with which clip, by commit number."""
        self.why = dict(sorted(why.items()))
        super().__init__("; ".join(f"clip {commit}: {text}" for commit, text in self.why.items()))


@dataclass(frozen=True, slots=True)
class ReadClip:
    """What is kept of a clip that was read: its frames reduced (N, 96, 128, 3), its events."""

    frames: Frames
    events: ClipEvents


class ClipReader:
    """Reads and reduces clips; the same clips come back whatever the number of threads.

    Args:
        open_clip: reads the clip of a row; raises ``ClipCorrupt`` where it is gone or damaged.
        pool: reads several clips at once; one after the other if None.
    """

    def __init__(self, open_clip: OpenClip, pool: ThreadPoolExecutor | None = None) -> None:
        self._open_clip = open_clip
        self._pool = pool

    def read(self, rows: Sequence[ClipRow]) -> dict[int, ReadClip]:
        """Return the clips of rows by commit number.

        Raises:
            ClipsUnreadable: names every one of them that cannot be read.
        """
        found: dict[int, ReadClip] = {}
        why: dict[int, str] = {}
        for row, clip in zip(rows, self._each(rows), strict=True):
            if isinstance(clip, ClipCorrupt):
                why[row.commit] = f"{clip.code}: {clip.hint}"
            else:
                found[row.commit] = clip
        if why:
            raise ClipsUnreadable(why)
        return found

    def _each(self, rows: Sequence[ClipRow]) -> Iterable[ReadClip | ClipCorrupt]:
        if self._pool is None or len(rows) < 2:
            return map(self._read, rows)
        return self._pool.map(self._read, rows)

    def _read(self, row: ClipRow) -> ReadClip | ClipCorrupt:
        try:
            clip = self._open_clip(row)
        except ClipCorrupt as error:
            return error
        return ReadClip(reduce_frames(clip.frames), clip.events)


def make_reader(open_clip: OpenClip, workers: int) -> ClipReader:
    """Return a reader with so many threads (0: none), which end with the process."""
    if workers == 0:
        return ClipReader(open_clip)
    return ClipReader(open_clip, ThreadPoolExecutor(workers, thread_name_prefix="clips"))


def open_clips(traces: Path) -> OpenClip:
    """Return what reads a clip from a store's folder, and tells a lost clip from a bad disk.

    A file that is there and cannot be read (a network disk that is away, no handles left)
    is no loss of data: that ends the process, and a restart takes the run up.
    """

    def open_clip(row: ClipRow) -> Clip:
        try:
            return read_clip(traces, row)
        except ClipCorrupt as error:
            if error.code == "file" and (traces / row.file).exists():
                raise OSError(f"{traces / row.file} cannot be read: {error.hint}") from error
            raise

    return open_clip
