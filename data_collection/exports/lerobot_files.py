"""The data and video files of a LeRobot data set: one after another, each within limits."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_collection.exports.exporter import ExportOptions
from data_collection.exports.lerobot_layout import (
    DATA_PATH,
    VIDEO_PATH,
    FilePlace,
    frame_schema,
    require_pyarrow,
)
from data_collection.exports.video import VideoFile
from data_collection.trace import Frame, TraceHeader

MAX_VIDEO_S = 900
"""The longest video file of several episodes.

LeRobot's reader computes times in float32 and allows them to be off by 0.1 ms; beyond 1024 s
two neighbouring float32 numbers are further apart than that.
"""
_TICKS_PER_FRAME = 1000


class DataFiles:
    """Parquet files; a new one begins when the last has grown to ``file_bytes``."""

    def __init__(self, folder: Path, file_bytes: int, chunk_files: int) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._chunk_files = chunk_files
        self._place: FilePlace | None = None
        self._path = folder
        self._writer: Any = None

    def add(self, columns: Mapping[str, npt.NDArray[Any]]) -> FilePlace:
        """Write an episode's columns; return the file they went to."""
        pa, parquet = require_pyarrow()
        schema = frame_schema()
        if self._writer is None or self._path.stat().st_size >= self._file_bytes:
            self.close()
            place = self._place
            self._place = FilePlace() if place is None else place.next(self._chunk_files)
            self._path = self._place.path(self._folder, DATA_PATH)
            self._writer = parquet.ParquetWriter(self._path, schema)
        arrays = []
        for field in schema:
            values = columns[field.name]
            if values.ndim == 2:
                flat = pa.array(np.ascontiguousarray(values).reshape(-1))
                arrays.append(pa.FixedSizeListArray.from_arrays(flat, values.shape[1]))
            else:
                arrays.append(pa.array(values, field.type))
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        assert self._place is not None
        return self._place

    def close(self) -> None:
        """Finish the file that is open, if any."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class VideoFiles:
    """Video files of several episodes each; every episode begins with a key frame."""

    def __init__(
        self, folder: Path, header: TraceHeader, options: ExportOptions, chunk_files: int
    ) -> None:
        self._folder = folder
        self._header = header
        self._options = options
        self._chunk_files = chunk_files
        self._file: VideoFile | None = None
        self._frames = 0
        self._begins = False
        self._pixel_format = ""
        self.place = FilePlace()
        self.episode_from_s = 0.0
        """Where in its file the episode at hand begins."""

    def begin_episode(self, frames: int) -> None:
        """Make ready for an episode of so many frames: in this file, or in a new one."""
        fps = self._header.fps
        if self._file is not None:
            too_long = self._frames + frames > MAX_VIDEO_S * fps
            if too_long or self._file.bytes >= self._options.shard_bytes:
                self.close()
                self.place = self.place.next(self._chunk_files)
        if self._file is None:
            self._file = VideoFile(
                self.place.path(self._folder, VIDEO_PATH),
                self._header.width_px,
                self._header.height_px,
                fps,
                tick=Fraction(1, fps * _TICKS_PER_FRAME),
                lossless=self._options.lossless,
                crf=self._options.crf,
            )
            self._pixel_format = self._file.pixel_format
            self._frames = 0
        self._begins = True
        self.episode_from_s = self._frames / fps

    def add(self, frame: Frame) -> None:
        """Append a frame of the episode."""
        assert self._file is not None
        self._file.add(frame, self._frames * _TICKS_PER_FRAME, key=self._begins)
        self._begins = False
        self._frames += 1

    def close(self) -> None:
        """Finish the file that is open, if any."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def description(self) -> dict[str, Any]:
        """Return what ``info.json`` says of the files' stream."""
        return {
            "video.height": self._header.height_px,
            "video.width": self._header.width_px,
            "video.codec": "h264",
            "video.pix_fmt": "gbrp" if self._options.lossless else self._pixel_format,
            "video.is_depth_map": False,
            "video.fps": self._header.fps,
            "video.channels": 3,
            "has_audio": False,
        }
