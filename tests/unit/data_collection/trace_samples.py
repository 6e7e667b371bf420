"""Small traces for the tests of codec, store, ingest and spool."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_collection.events import Button, ButtonChanged, Event, KeyChanged, PointerMoved
from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.trace import Clip, ClipRow, Consent, TraceHeader

FPS = 5
WIDTH_PX, HEIGHT_PX = 24, 16
PERIOD_NS = 10**9 // FPS


class StillClock:
    """A clock that stands, except where a test moves it."""

    def __init__(self, wall_s: float = 2000.0) -> None:
        self.now_wall_s = wall_s
        self.now_mono_ns = 1

    def monotonic_ns(self) -> int:
        return self.now_mono_ns

    def wall_s(self) -> float:
        return self.now_wall_s

    def sleep(self, duration_s: float) -> None:
        self.now_wall_s += duration_s


def sample_header(trace_id: str = "t-1", **changes: object) -> TraceHeader:
    fields: dict[str, object] = {
        "trace_id": trace_id,
        "desktop": "scripted",
        "width_px": WIDTH_PX,
        "height_px": HEIGHT_PX,
        "seed": 1,
        "source": "human",
        "consent": Consent.SYNTHETIC,
        "anchor_wall_s": 1000.0,
        "anchor_mono_ns": 0,
        "fps": FPS,
    }
    return TraceHeader(**{**fields, **changes})  # type: ignore[arg-type]


def sample_clip(
    seq: int = 0, trace_id: str = "t-1", *, look: int | None = None, frames: int = FPS
) -> Clip:
    """Return a clip whose pixels are drawn from ``look`` (its number if not given)."""
    rng = np.random.default_rng(seq if look is None else look)
    pixels = np.zeros((frames, HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    pixels[:, 2:9, 3:11] = rng.integers(0, 256, (frames, 7, 8, 3), np.uint8)
    first = seq * FPS
    times = tuple((first + index + 1) * PERIOD_NS for index in range(frames))
    events: list[tuple[Event, ...]] = [
        (PointerMoved(index, index + 1, t_mono_ns=t - 2, seq=2 * (first + index)),)
        for index, t in enumerate(times)
    ]
    press = ButtonChanged(Button.LEFT, True, 3, 3, t_mono_ns=times[0] - 1, seq=2 * first + 1)
    key = KeyChanged(4, "a", True, t_mono_ns=times[-1] - 1, seq=2 * first + 9)
    events[0] += (press,)
    events[-1] += (key,)
    return Clip(trace_id, seq, first, pixels, times, tuple(events), {"focus": "terminal", "n": seq})


def encoded(clip: Clip) -> EncodedClip:
    return EncodedClip.of(clip, encode_clip(clip))


def stored(
    store: TraceStore, seq: int, trace_id: str = "t-1", *, look: int | None = None
) -> ClipRow:
    """Append a sample clip to an opened trace; return its row."""
    clip = sample_clip(seq, trace_id, look=look)
    return store.append(sample_header(trace_id), encoded(clip), 2000.0).row


def filled(root: Path, clips: int) -> list[ClipRow]:
    """Make a closed store that holds one trace; return its rows."""
    store = TraceStore.open(root)
    store.open_trace(sample_header())
    rows = [stored(store, seq) for seq in range(clips)]
    store.close()
    return rows
