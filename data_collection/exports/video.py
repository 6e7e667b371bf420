"""Frames as an MP4 file, lossless where asked."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from data_collection.extras import ExtraMissing
from data_collection.trace import Frame

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

LOSSLESS_CODEC = "libx264rgb"
LOSSY_CODEC = "libx264"


def require_av(extra: str = "exports") -> ModuleType:
    """Return the ``av`` module.

    Raises:
        ExtraMissing: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise ExtraMissing("av", extra) from None
    return av


class VideoFile:
    """An MP4 file under construction.

    H.264 without B frames, a key frame at least once a second. Lossless keeps RGB as it is;
    else the picture is 4:2:0 (4:4:4 where a side is odd) at a constant rate factor.

    Args:
        path: the file to make.
        width_px: width of every frame.
        height_px: height of every frame.
        fps: nominal frames a second.
        tick: length of a tick of the file's clock, in seconds.
        lossless: keep every pixel.
        crf: 0 to 51, lower is better.
    """

    def __init__(
        self,
        path: Path,
        width_px: int,
        height_px: int,
        fps: int,
        *,
        tick: Fraction,
        lossless: bool,
        crf: int,
    ) -> None:
        av = require_av()
        self._av = av
        self.bytes = 0
        self.pixel_format = _pixel_format(width_px, height_px, lossless)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without an edit list the first frame's time is what the file says it is.
        self._container: OutputContainer = av.open(
            str(path), "w", format="mp4", options={"video_track_timescale": str(tick.denominator)}
        )
        codec = LOSSLESS_CODEC if lossless else LOSSY_CODEC
        options = {"crf": "0" if lossless else str(crf), "preset": "veryfast", "bf": "0"}
        stream: VideoStream = self._container.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height = width_px, height_px
        stream.pix_fmt = self.pixel_format
        context: Any = stream.codec_context
        context.time_base = tick
        context.gop_size = fps
        context.max_b_frames = 0
        context.thread_count = 1
        stream.time_base = tick
        self._tick = tick
        self._stream = stream

    def add(self, frame: Frame, ticks: int, *, key: bool = False) -> None:
        """Append a frame that is shown from ``ticks`` on; as a key frame where asked."""
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts = ticks
        picture.time_base = self._tick
        if key:
            picture.pict_type = self._av.video.frame.PictureType.I
        self._mux(picture)

    def close(self) -> None:
        """Finish the file."""
        self._mux(None)
        self._container.close()

    def abandon(self) -> None:
        """Give the file up."""
        self._container.close()

    def _mux(self, picture: Any) -> None:
        for packet in self._stream.encode(picture):
            self.bytes += packet.size
            self._container.mux(packet)


def _pixel_format(width_px: int, height_px: int, lossless: bool) -> str:
    if lossless:
        return "rgb24"
    return "yuv420p" if width_px % 2 == height_px % 2 == 0 else "yuv444p"
