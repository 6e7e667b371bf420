"""Reads the clips of a batch from the store, in threads where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from data_collection.events import Event
from data_collection.storage.codec import ClipCorrupt, decode_meta
from data_collection.storage.reading import read_body, read_clip
from data_collection.trace import Clip, ClipRow
from neuralos.data.encode import TINY_SCREEN, Frames, reduce_frames
from neuralos.shapes import Screen

Read = TypeVar("Read")
ClipEvents = tuple[tuple[Event, ...], ...]


class ClipsUnreadable(Exception):
    """Clips that rows speak of are not there any more, or are not the ones acknowledged."""

    def __init__(self, why: dict[int, str]) -> None:
        """Store what is wrong with which clip, by commit number."""
        self.why = dict(sorted(why.items()))
        super().__init__("; ".join(f"clip {commit}: {text}" for commit, text in self.why.items()))


@dataclass(frozen=True, slots=True)
class ClipSource:
    """How a row's clip is read, whole or its events alone; both raise ``ClipCorrupt``."""

    clip: Callable[[ClipRow], Clip]
    events: Callable[[ClipRow], ClipEvents]


@dataclass(frozen=True, slots=True)
class ReadClip:
    """What is kept of a clip that was read: its frames reduced (N, Y, P, 3), its events."""

    frames: Frames
    events: ClipEvents


class ClipReader:
    """Reads and reduces clips; the same clips come back whatever the number of threads.

    Args:
        source: where clips are.
        pool: reads several clips at once; one after the other if None.
        screen: what frames are reduced to.
    """

    def __init__(
        self,
        source: ClipSource,
        pool: ThreadPoolExecutor | None = None,
        screen: Screen = TINY_SCREEN,
    ) -> None:
        self._source = source
        self._screen = screen
        self._pool = pool

    def read(
        self, rows: Sequence[ClipRow], before: Sequence[ClipRow] = ()
    ) -> tuple[dict[int, ReadClip], dict[int, ClipEvents]]:
        """Return clips, and of others the events alone, by commit number.

        Args:
            rows: the clips.
            before: those of which the events suffice.

        Raises:
            ClipsUnreadable: names every one of them that cannot be read.
        """
        reads: list[Callable[[], ReadClip | ClipEvents]] = [
            *(partial(self._clip, row) for row in rows),
            *(partial(self._source.events, row) for row in before),
        ]
        found = list(self._each(reads))
        everything = zip((*rows, *before), found, strict=True)
        why = {
            row.commit: f"{one.code}: {one.hint}"
            for row, one in everything
            if isinstance(one, ClipCorrupt)
        }
        if why:
            raise ClipsUnreadable(why)
        clips = [one for one in found[: len(rows)] if isinstance(one, ReadClip)]
        events = [one for one in found[len(rows) :] if isinstance(one, tuple)]
        return (
            {row.commit: clip for row, clip in zip(rows, clips, strict=True)},
            {row.commit: one for row, one in zip(before, events, strict=True)},
        )

    def _each(
        self, reads: Iterable[Callable[[], ReadClip | ClipEvents]]
    ) -> Iterable[ReadClip | ClipEvents | ClipCorrupt]:
        return map(_caught, reads) if self._pool is None else self._pool.map(_caught, reads)

    def _clip(self, row: ClipRow) -> ReadClip:
        clip = self._source.clip(row)
        return ReadClip(reduce_frames(clip.frames, self._screen), clip.events)


def _caught(read: Callable[[], Read]) -> Read | ClipCorrupt:
    try:
        return read()
    except ClipCorrupt as error:
        return error


def make_reader(source: ClipSource, workers: int, screen: Screen = TINY_SCREEN) -> ClipReader:
    """Return a reader with so many threads (0: none), which end with the process."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="clips") if workers else None
    return ClipReader(source, pool, screen)


def clips_of(traces: Path) -> ClipSource:
    """Return what reads the clips of a store's folder, and tells a lost clip from a bad disk.

    A file that is there and cannot be read (a network disk that is away, no handles left)
    is no loss of data: that ends the process, and a restart takes the run up.
    """

    def told_apart(read: Callable[[Path, ClipRow], Read], row: ClipRow) -> Read:
        try:
            return read(traces, row)
        except ClipCorrupt as error:
            if error.code == "file" and (traces / row.file).exists():
                raise OSError(f"{traces / row.file} cannot be read: {error.hint}") from error
            raise

    return ClipSource(partial(told_apart, read_clip), partial(told_apart, _read_events))


def _read_events(traces: Path, row: ClipRow) -> ClipEvents:
    return decode_meta(read_body(traces, row)).events
