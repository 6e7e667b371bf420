"""Frames as JPEG, WebP or PNG, made in threads of their own and only when they are wanted."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Frame = npt.NDArray[np.uint8]

FORMATS = ("jpeg", "webp", "png")

FRAMES_DROPPED = "frames_dropped"
"""Name of a counter: frames that a client did not ask for in time."""


@dataclass(frozen=True, slots=True)
class EncodingConfig:
    """How frames are encoded.

    ``quality`` is JPEG's or WebP's; PNG has none. ``workers`` threads encode.
    """

    format: str = "jpeg"
    quality: int = 90
    workers: int = 2

    def __post_init__(self) -> None:
        """Refuse what there is not.

        Raises:
            ValueError: a name or a number is out of range.
        """
        if self.format not in FORMATS:
            raise ValueError(f"no format {self.format!r}; there are: {', '.join(FORMATS)}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality {self.quality} is not within 1 and 100")
        if self.workers < 1:
            raise ValueError(f"{self.workers} workers cannot encode")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A frame as bytes, and how many frames of its session came before it."""

    data: bytes
    index: int


def encode(frame_YP3: Frame, config: EncodingConfig) -> bytes:
    """Return a frame (Y, P, 3) in the format of the configuration."""
    file = io.BytesIO()
    Image.fromarray(frame_YP3).save(file, config.format, **_options(config))
    return file.getvalue()


def _options(config: EncodingConfig) -> dict[str, Any]:
    if config.format == "png":
        return {"compress_level": 1}
    if config.format == "webp":
        return {"quality": config.quality, "method": 0}
    # Coloured text and thin lines blur where JPEG halves the colours.
    return {"quality": config.quality, "subsampling": "4:4:4"}


class Encoder:
    """Encodes in a few threads; PIL lets go of the interpreter meanwhile."""

    def __init__(self, config: EncodingConfig) -> None:
        self.config = config
        self._pool = ThreadPoolExecutor(config.workers, thread_name_prefix="encode")

    def submit(self, frame: Frame, index: int, done: Callable[[Future[Encoded]], None]) -> None:
        """Encode a frame and call ``done``, in one of the threads."""
        self._pool.submit(self._encode, frame, index).add_done_callback(done)

    def close(self) -> None:
        """Finish what is at work, and end."""
        self._pool.shutdown()

    def _encode(self, frame: Frame, index: int) -> Encoded:
        return Encoded(encode(frame, self.config), index)


class Outlet:
    """Where one client gets frames: the newest that there is, when it asks.

    A client that is slow to ask misses frames, which are counted and never encoded; it
    keeps nobody waiting.
    """

    def __init__(self, encoder: Encoder, counters: Counter[str]) -> None:
        self._encoder = encoder
        self._counters = counters
        self._newest: tuple[Frame, int] | None = None
        self._wanted: Future[Encoded] | None = None
        self._end: Exception | None = None
        self._lock = threading.Lock()

    def put(self, frame: Frame, index: int) -> None:
        """Offer a frame; never waits."""
        with self._lock:
            wanted, self._wanted = self._wanted, None
            # A client that went away has cancelled what it asked for.
            if wanted is None or not wanted.set_running_or_notify_cancel():
                wanted = None
                self._counters[FRAMES_DROPPED] += self._newest is not None
                self._newest = (frame, index)
        if wanted is not None:
            self._encode(frame, index, wanted)

    def take(self) -> Future[Encoded]:
        """Ask for the newest frame that was not taken yet; never waits.

        For an event loop, wrap it with ``asyncio.wrap_future``. While a frame is awaited,
        the same future is returned again.
        """
        with self._lock:
            if self._wanted is not None and not self._wanted.cancelled():
                return self._wanted
            future: Future[Encoded] = Future()
            newest, self._newest = self._newest, None
            if newest is None and self._end is None:
                self._wanted = future
        if newest is not None:
            future.set_running_or_notify_cancel()
            self._encode(*newest, future)
        elif self._end is not None:
            future.set_exception(self._end)
        return future

    def end(self, reason: Exception) -> None:
        """Give no more frames: whoever asks for one is told why."""
        with self._lock:
            self._end = reason
            wanted, self._wanted, self._newest = self._wanted, None, None
        if wanted is not None and wanted.set_running_or_notify_cancel():
            wanted.set_exception(reason)

    def _encode(self, frame: Frame, index: int, future: Future[Encoded]) -> None:
        self._encoder.submit(frame, index, lambda done: _pass_on(done, future))


def _pass_on(done: Future[Encoded], future: Future[Encoded]) -> None:
    error = done.exception()
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())
