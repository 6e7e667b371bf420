"""Replays of stored traces on real desktops, kept where their origin is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from data_collection.clock import Clock
from data_collection.desktops.desktop import Desktop
from data_collection.recording.chain import NotReplayable, Stretch, chain_of
from data_collection.recording.noise_floor import FloorMeter, NoiseFloor
from data_collection.recording.relabel import (
    AsDrawn,
    Cadence,
    TrueCadence,
    relabel,
    relabelled_header,
)
from data_collection.storage.codec import ClipLimits, decode_clip, encode_clip
from data_collection.storage.encoded import EncodedClip
from data_collection.storage.store import TraceOpening, TraceStore
from data_collection.streaming.send_traces import TraceSender
from data_collection.trace import ClipState, TraceHeader
from experiments.trace_access import TraceView

_MAX_ID = 64


@dataclass(frozen=True, slots=True)
class Target:
    """The desktop to replay on; ``make`` gives a fresh one of a size, its caller's to close."""

    name: str
    real_time: bool
    make: Callable[[int, int], Desktop]

    def trace_id(self, origin: str, attempt: int = 1) -> str:
        """Return the id of the replay of a trace."""
        tail = f"-on-{self.name}" + ("" if attempt == 1 else f"-{attempt}")
        if len(origin) + len(tail) > _MAX_ID:
            origin = "trace-" + hashlib.sha256(origin.encode()).hexdigest()[:16]
        return origin + tail


@dataclass(frozen=True, slots=True)
class Relabelled:
    """A replay: its id, what it holds, how well time was kept; not ``made`` if it was there.

    It is not ``whole`` where it was told to end before the trace did.
    """

    trace_id: str
    origin: str
    frames: int
    clips: int
    made: bool
    whole: bool = True
    late: int = 0
    latest_ms: float = 0.0
    floor: NoiseFloor | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "id": self.trace_id,
            "origin": self.origin,
            "frames": self.frames,
            "clips": self.clips,
            "made": self.made,
            "whole": self.whole,
            "late": self.late,
            "latest_ms": round(self.latest_ms, 1),
            "floor": self.floor.to_json() if self.floor else None,
        }


class Shelf(Protocol):
    """Where replays are put."""

    def open(self, header: TraceHeader) -> None:
        """Make a trace ready.

        Raises:
            NotReplayable: its id is another trace's, or withdrawn.
        """
        ...

    def put(self, header: TraceHeader, encoded: EncodedClip) -> None:
        """Keep a clip; again changes nothing.

        Raises:
            NotReplayable: it was refused.
        """
        ...


class StoreShelf:
    """Puts replays into a store that this process holds."""

    def __init__(self, store: TraceStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def open(self, header: TraceHeader) -> None:
        """Open the trace in the store."""
        opening = self._store.open_trace(header)
        if opening in (TraceOpening.DIFFERENT, TraceOpening.WITHDRAWN):
            raise NotReplayable(header.trace_id, opening.value, f"its place is {opening.value}")

    def put(self, header: TraceHeader, encoded: EncodedClip) -> None:
        """Store a clip."""
        self._store.append(header, encoded, self._clock.wall_s())


class ServerShelf:
    """Sends replays to the server that holds the store: live data like any other.

    Raises, beside what a shelf raises, what its sender raises.
    """

    def __init__(self, sender: TraceSender) -> None:
        self._sender = sender

    def open(self, header: TraceHeader) -> None:
        """Open the trace there."""
        refusal = self._sender.open(header)
        if refusal is not None:
            raise NotReplayable(header.trace_id, refusal.code, refusal.hint)

    def put(self, header: TraceHeader, encoded: EncodedClip) -> None:
        """Send a clip."""
        refusal = self._sender.put(header.trace_id, encoded.seq, encoded.body)
        if refusal is not None:
            raise NotReplayable(header.trace_id, refusal.code, refusal.hint)


@dataclass(slots=True)
class Relabeller:
    """Replays traces of a store on fresh desktops.

    Args:
        view: the store's traces.
        target: on what.
        shelf: where the first replay of each goes.
        clock: keeps the true cadence where the desktop has a time of its own.
        times: replays of each trace, from the second on only to measure the floor.
        until: asked before each frame; a replay ends with its last whole clip where it says yes.
        on_frames: told of each clip replayed, in frames.
    """

    view: TraceView
    target: Target
    shelf: Shelf
    clock: Clock
    times: int = 1
    until: Callable[[], bool] = field(default=lambda: False)
    on_frames: Callable[[int], None] = field(default=lambda frames: None)
    meter: FloorMeter = field(default_factory=FloorMeter)
    """The floor over all traces replayed."""

    def relabel(self, origin: str) -> Relabelled:
        """Replay a trace, unless that has been done.

        Raises:
            NotReplayable: it cannot be replayed exactly.
            ClipCorrupt: a clip's bytes are damaged.
            DesktopDied: the desktop did; the clips that were whole by then are kept.
        """
        chain = chain_of(origin, self.view.root, self.view.header, self.view.rows)
        wanted = chain[-1]
        trace_id, is_there = self._place(wanted)
        if is_there and self.times == 1:
            return Relabelled(trace_id, origin, wanted.frames, len(wanted.rows), made=False)
        cadence: Cadence = AsDrawn()
        replays: list[list[EncodedClip]] = []
        late, latest_ms = 0, 0.0
        for number in range(self.times):
            if self.target.real_time:
                cadence = TrueCadence(self.clock, wanted.header.fps)
            replays.append(
                self._replay(chain, trace_id, cadence, keep=number == 0 and not is_there)
            )
            if isinstance(cadence, TrueCadence):
                late, latest_ms = late + cadence.late, max(latest_ms, cadence.latest_ms)
            if len(replays[-1]) < len(wanted.rows):
                frames = sum(one.frames for one in replays[0])
                return Relabelled(trace_id, origin, frames, len(replays[0]), True, whole=False)
        floor = self._compare(wanted.header, replays) if self.times > 1 else None
        return Relabelled(
            trace_id,
            origin,
            wanted.frames,
            len(wanted.rows),
            made=not is_there,
            late=late,
            latest_ms=latest_ms,
            floor=floor,
        )

    def _compare(self, header: TraceHeader, replays: list[list[EncodedClip]]) -> NoiseFloor | None:
        """Compare replays clip by clip; one second of each is in memory at a time."""
        limits = ClipLimits.of_header(header)
        alone = FloorMeter()
        for second in zip(*replays, strict=True):
            clips = [decode_clip(one.body, limits) for one in second]
            alone.add(clips)
            self.meter.add(clips)
        return alone.floor

    def _place(self, wanted: Stretch) -> tuple[str, bool]:
        """Return the id for a replay, and whether it is there already, whole."""
        attempt = 1
        while True:
            trace_id = self.target.trace_id(wanted.header.trace_id, attempt)
            rows = self.view.rows(trace_id)
            withdrawn = any(row.state is ClipState.TOMBSTONED for row in rows)
            if withdrawn or len(rows) >= len(wanted.rows):
                # Whoever took clips of it back does not want them again.
                return trace_id, True
            if not rows or not self.target.real_time:
                return trace_id, False
            attempt += 1

    def _replay(
        self, chain: list[Stretch], trace_id: str, cadence: Cadence, keep: bool
    ) -> list[EncodedClip]:
        origin = chain[-1].header
        encoded: list[EncodedClip] = []
        with _fresh(self.target, origin) as desktop:
            header = relabelled_header(origin, trace_id, desktop)
            if keep:
                self.shelf.open(header)
            for clip in relabel(desktop, chain, self.view.root, trace_id, cadence, self.until):
                one = EncodedClip.of(clip, encode_clip(clip))
                if keep:
                    self.shelf.put(header, one)
                encoded.append(one if self.times > 1 else replace(one, body=b""))
                self.on_frames(one.frames)
        return encoded


@contextmanager
def _fresh(target: Target, header: TraceHeader) -> Iterator[Desktop]:
    desktop = target.make(header.width_px, header.height_px)
    try:
        yield desktop
    finally:
        desktop.close()


def sessions(view: TraceView) -> list[str]:
    """Return the traces without real frames: what replays are made for when nobody says which."""
    return [
        one.header.trace_id
        for one in view.summaries()
        if one.header.frame_source != "real" and one.state is ClipState.COMMITTED and one.clips
    ]


def settled(view: TraceView, trace_id: str, wall_s: float, settle_s: float) -> bool:
    """Say whether no clip of a session came for so long: it has ended, as far as one can see."""
    newest_s = max(row.acknowledged_wall_s for row in view.rows(trace_id))
    return wall_s - newest_s >= settle_s
