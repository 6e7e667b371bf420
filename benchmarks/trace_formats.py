"""The ways of storing a trace that ``trace_store.py`` sets side by side.

Each gets the frames second by second, as a recorder has them, and makes them durable once a
second where it can (``fdatasync``). A reader gives a window of frames by their number.
"""

from __future__ import annotations

import io
import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, ClassVar

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from data_collection.storage.codec import encode_clip
from data_collection.storage.reading import read_frames
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.trace import FPS, Clip, TraceHeader

Frames = npt.NDArray[np.uint8]
Reader = Callable[[int, int], Frames]
"""Gives ``count`` frames from the frame ``first`` on."""


class Format(ABC):
    """One way of storing; an object of it writes one trace, then reads it."""

    name: ClassVar[str]
    lossless: ClassVar[bool] = True

    def __init__(self, folder: Path, header: TraceHeader) -> None:
        self.folder = folder
        self.header = header
        self.path = folder / f"{header.trace_id}.bin"

    @abstractmethod
    def begin(self) -> None:
        """Make the file ready for frames."""

    @abstractmethod
    def add(self, clip: Clip) -> None:
        """Write one second."""

    @abstractmethod
    def end(self) -> None:
        """Close the file."""

    @abstractmethod
    def reader(self) -> Reader:
        """Open a closed file for windows."""

    @abstractmethod
    def surviving_frames(self) -> int:
        """Count the frames that come back from a file whose writer was killed."""

    def size_bytes(self) -> int:
        """Return the size of the trace on disk."""
        return self.path.stat().st_size


class Ours(Format):
    """The trace store: encoded, hashed, durable, indexed, as a recorder does it."""

    name = "this store"

    def begin(self) -> None:
        self.store = TraceStore.open(self.folder)
        self.store.open_trace(self.header)

    def add(self, clip: Clip) -> None:
        self.store.append(self.header, EncodedClip.of(clip, encode_clip(clip)), 0.0)

    def end(self) -> None:
        self.store.close()

    def reader(self) -> Reader:
        store = TraceStore.open(self.folder)
        rows = store.index.trace_rows(self.header.trace_id)
        store.close()
        return lambda first, count: read_frames(self.folder, rows, first, count)

    def surviving_frames(self) -> int:
        store = TraceStore.open(self.folder)
        whole = sum(row.frames for row in store.index.trace_rows(self.header.trace_id))
        problems = store.verify()
        store.close()
        assert problems == []
        return whole

    def size_bytes(self) -> int:
        return (self.folder / f"{self.header.trace_id}.mcap").stat().st_size


class Pictures(Format):
    """Pictures one after the other in one file, each with its length before it."""

    kind: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    _length = struct.Struct("<I")

    def begin(self) -> None:
        self.file: IO[bytes] = open(self.path, "wb")  # noqa: SIM115 - closed by end()

    def add(self, clip: Clip) -> None:
        for frame in clip.frames:
            buffer = io.BytesIO()
            Image.fromarray(frame).save(buffer, self.kind, **self.options)
            self.file.write(self._length.pack(buffer.tell()) + buffer.getvalue())
        self.file.flush()
        os.fdatasync(self.file.fileno())

    def end(self) -> None:
        self.file.close()

    def reader(self) -> Reader:
        pictures = self._pictures()

        def read(first: int, count: int) -> Frames:
            with open(self.path, "rb") as file:
                return np.stack([self._decoded(file, *at) for at in pictures[first:][:count]])

        return read

    def surviving_frames(self) -> int:
        with open(self.path, "rb") as file:
            return len([self._decoded(file, *at) for at in self._pictures()])

    def _pictures(self) -> list[tuple[int, int]]:
        found, at, size = [], 0, self.path.stat().st_size
        with open(self.path, "rb") as file:
            while at + self._length.size <= size:
                file.seek(at)
                (length,) = self._length.unpack(file.read(self._length.size))
                at += self._length.size
                if at + length <= size:
                    found.append((at, length))
                at += length
        return found

    @staticmethod
    def _decoded(file: IO[bytes], at: int, length: int) -> Frames:
        file.seek(at)
        return np.asarray(Image.open(io.BytesIO(file.read(length))).convert("RGB"))


class Png(Pictures):
    """Pillow's PNG at its default level."""

    name = "PNG"
    kind = "png"


class WebP(Pictures):
    """Lossless WebP at the method that makes user interfaces smallest."""

    name = "WebP lossless (method 1)"
    kind = "webp"
    options: ClassVar[dict[str, Any]] = {"lossless": True, "method": 1}


class Video(Format):
    """A video file with a key frame a second, one thread, no B-frames."""

    container: ClassVar[str] = "mp4"
    codec: ClassVar[str] = "libx264rgb"
    pixels: ClassVar[str] = "rgb24"
    options: ClassVar[dict[str, str]] = {}

    def begin(self) -> None:
        self.path = self.path.with_suffix("." + self.container)
        self.file = av.open(str(self.path), "w")
        options = {"bf": "0", **self.options}
        self.stream = self.file.add_stream(self.codec, rate=FPS, options=options)
        self.stream.width, self.stream.height = self.header.width_px, self.header.height_px
        self.stream.pix_fmt = self.pixels
        self.stream.codec_context.gop_size = FPS
        self.stream.codec_context.thread_count = 1
        self.frames = 0

    def add(self, clip: Clip) -> None:
        for frame in clip.frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = self.frames, Fraction(1, FPS)
            self.frames += 1
            self.file.mux(self.stream.encode(picture))
        # The file is made when its first packet is written.
        if self.path.exists():
            with open(self.path, "rb") as file:
                os.fdatasync(file.fileno())

    def end(self) -> None:
        self.file.mux(self.stream.encode(None))
        self.file.close()

    def reader(self) -> Reader:
        file = av.open(str(self.path))
        stream = file.streams.video[0]
        stream.codec_context.thread_count = 1

        def read(first: int, count: int) -> Frames:
            assert stream.time_base is not None
            file.seek(round(first / FPS / stream.time_base), stream=stream)
            found: list[Frames] = []
            for frame in file.decode(stream):
                assert frame.pts is not None
                if round(frame.pts * stream.time_base * FPS) >= first:
                    found.append(frame.to_ndarray(format="rgb24"))
                    if len(found) == count:
                        break
            return np.stack(found)

        return read

    def surviving_frames(self) -> int:
        path = self.path.with_suffix("." + self.container)
        frames = 0
        try:
            with av.open(str(path)) as file:
                for _ in file.decode(video=0):
                    frames += 1
        except (av.FFmpegError, OSError, IndexError):
            pass
        return frames


class X264Ultrafast(Video):
    """Lossless H.264 in RGB, the quickest preset."""

    name = "x264 lossless (ultrafast, MP4)"
    options: ClassVar[dict[str, str]] = {"qp": "0", "preset": "ultrafast"}


class X264Medium(Video):
    """Lossless H.264 in RGB, the default preset."""

    name = "x264 lossless (medium, MP4)"
    options: ClassVar[dict[str, str]] = {"qp": "0", "preset": "medium"}


class X264Matroska(X264Ultrafast):
    """The same in Matroska, which writes its index as it goes."""

    name = "x264 lossless (ultrafast, MKV)"
    container: ClassVar[str] = "mkv"


class X264Crf18(Video):
    """What is called visually lossless: half the colour resolution, and quantised."""

    name = "x264 crf 18 (medium, MP4)"
    lossless = False
    codec: ClassVar[str] = "libx264"
    pixels: ClassVar[str] = "yuv420p"
    options: ClassVar[dict[str, str]] = {"crf": "18", "preset": "medium"}


FORMATS: dict[str, type[Format]] = {
    cls.__name__: cls
    for cls in (Ours, Png, WebP, X264Ultrafast, X264Medium, X264Matroska, X264Crf18)
}
