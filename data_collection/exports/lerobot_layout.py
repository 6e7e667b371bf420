"""LeRobotDataset v3 on disk: names, features and tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from data_collection.exports.action_vector import NAMES
from data_collection.extras import ExtraMissing

CODEBASE_VERSION = "v3.0"
SCREEN = "observation.images.screen"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
TASKS_PATH = "meta/tasks.parquet"
INFO_PATH = "meta/info.json"
STATS_PATH = "meta/stats.json"
CHUNK_FILES = 1000
"""Files in a chunk's folder at most, as LeRobot has it."""

_SCALARS = {
    "next.done": "bool",
    "time_ns": "int64",
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
"""Columns of one value a frame."""


@dataclass(frozen=True, slots=True)
class FilePlace:
    """The place of a file: which chunk, and which file in it."""

    chunk: int = 0
    file: int = 0

    def next(self, chunk_files: int) -> FilePlace:
        """Return the place of the file after this one."""
        if self.file == chunk_files - 1:
            return FilePlace(self.chunk + 1, 0)
        return FilePlace(self.chunk, self.file + 1)

    def path(self, root: Path, pattern: str) -> Path:
        """Return the file's path, its folder made."""
        name = pattern.format(video_key=SCREEN, chunk_index=self.chunk, file_index=self.file)
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def require_pyarrow() -> tuple[ModuleType, ModuleType]:
    """Return ``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        ExtraMissing: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExtraMissing("pyarrow", "exports") from None
    return pyarrow, pyarrow.parquet


def features(width_px: int, height_px: int, video: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``features`` of ``info.json``; ``video`` describes the files' stream."""
    screen = {
        "dtype": "video",
        "shape": [height_px, width_px, 3],
        "names": ["height", "width", "channels"],
        "info": dict(video),
    }
    action = {"dtype": "float32", "shape": [len(NAMES)], "names": list(NAMES)}
    scalars = {
        name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in _SCALARS.items()
    }
    return {SCREEN: screen, "action": action, **scalars}


def info(
    *,
    fps: int,
    episodes: int,
    frames: int,
    tasks: int,
    chunk_files: int,
    file_bytes: int,
    features: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of ``info.json``."""
    megabytes = max(1, file_bytes >> 20)
    return {
        "codebase_version": CODEBASE_VERSION,
        "robot_type": "desktop",
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": chunk_files,
        "data_files_size_in_mb": megabytes,
        "video_files_size_in_mb": megabytes,
        "fps": fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "features": dict(features),
    }


def frame_schema() -> Any:
    """Return the columns of a data file, as an Arrow schema."""
    pa, _ = require_pyarrow()
    columns = [pa.field("action", pa.list_(pa.float32(), len(NAMES)))]
    columns += [pa.field(name, pa.type_for_alias(dtype)) for name, dtype in _SCALARS.items()]
    return pa.schema(columns)


def tasks_table(tasks: Sequence[str]) -> Any:
    """Return ``tasks.parquet`` as an Arrow table: a row's name is its text, as pandas has it."""
    pa, _ = require_pyarrow()
    table = pa.table(
        {
            "task_index": pa.array(range(len(tasks)), pa.int64()),
            "task": pa.array(tasks, pa.string()),
        }
    )
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy}
        for name, kind, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    note = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [{**column, "metadata": None} for column in columns],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(note)})
