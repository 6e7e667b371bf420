"""A reader of LeRobotDataset v3 written from its documented layout, for the tests.

It follows LeRobot's own: ``meta/info.json`` names the paths; an episode's row says in which
files its data and video lie, and from which second of the video on; a frame is the video's
frame nearest to that second plus its ``timestamp``, at most ``TOLERANCE_S`` away, all times in
float32.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TOLERANCE_S = 1e-4
SCREEN = "observation.images.screen"


class LeRobotReader:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.info = json.loads((root / "meta/info.json").read_text())
        self.stats = json.loads((root / "meta/stats.json").read_text())
        assert self.info["codebase_version"] == "v3.0"
        self.data = self._tables("data").to_pylist()
        self.episodes = self._tables("meta/episodes").to_pylist()
        tasks = pq.read_table(root / "meta/tasks.parquet")
        # LeRobot reads a task's text as the name of its row, with pandas.
        (names,) = json.loads(tasks.schema.metadata[b"pandas"])["index_columns"]
        self.tasks = tasks[names].to_pylist()
        assert tasks["task_index"].to_pylist() == list(range(len(tasks)))
        self._videos: dict[Path, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return int(self.info["total_frames"])

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.data[index]
        episode = self.episodes[row["episode_index"]]
        frames, times = self._video(self.video_path(episode))
        wanted = np.float32(episode[f"videos/{SCREEN}/from_timestamp"] + row["timestamp"])
        distances = np.abs(times - wanted)
        nearest = int(distances.argmin())
        assert distances[nearest] < TOLERANCE_S
        task = self.tasks[row["task_index"]]
        return {**row, SCREEN: frames[nearest], "task": task}

    def data_path(self, episode: dict[str, Any]) -> Path:
        return self.root / self.info["data_path"].format(
            chunk_index=episode["data/chunk_index"], file_index=episode["data/file_index"]
        )

    def video_path(self, episode: dict[str, Any]) -> Path:
        return self.root / self.info["video_path"].format(
            video_key=SCREEN,
            chunk_index=episode[f"videos/{SCREEN}/chunk_index"],
            file_index=episode[f"videos/{SCREEN}/file_index"],
        )

    def _tables(self, folder: str) -> pa.Table:
        paths = sorted((self.root / folder).glob("*/*.parquet"))
        return pa.concat_tables([pq.read_table(path) for path in paths])

    def _video(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        if path not in self._videos:
            frames, times = [], []
            with av.open(str(path)) as container:
                for frame in container.decode(video=0):
                    frames.append(frame.to_ndarray(format="rgb24"))
                    times.append(float(frame.pts * frame.time_base))
            self._videos[path] = np.stack(frames), np.array(times, np.float32)
        return self._videos[path]
