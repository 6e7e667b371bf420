"""LeRobotDataset v3: a trace is an episode, its screen a video, its actions a vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_collection.action import Action
from data_collection.exports.action_vector import action_vector
from data_collection.exports.episodes import Counter, Episode, Selection, seconds, select
from data_collection.exports.exporter import (
    DEFAULTS,
    ExportOptions,
    ExportReport,
    LeftOut,
    Progress,
    RowsOf,
)
from data_collection.exports.folder import files_in, new_folder, write_json
from data_collection.exports.lerobot_files import DataFiles, VideoFiles
from data_collection.exports.lerobot_layout import (
    CHUNK_FILES,
    EPISODES_PATH,
    INFO_PATH,
    SCREEN,
    STATS_PATH,
    TASKS_PATH,
    FilePlace,
    features,
    info,
    require_pyarrow,
    tasks_table,
)
from data_collection.exports.lerobot_stats import (
    PictureStats,
    Stats,
    as_lists,
    column_stats,
    merged,
)
from data_collection.exports.video import require_av
from data_collection.storage.index import TraceSummary


class LeRobotExporter:
    """Writes what LeRobot's own reader loads.

    Row i of an episode has frame i and the action *after* it, as LeRobot expects of an
    observation and its action; the last row's action does nothing.

    Args:
        chunk_files: files in a chunk's folder at most.
    """

    name = "lerobot"
    summary = "LeRobotDataset v3: parquet and video"

    def __init__(self, chunk_files: int = CHUNK_FILES) -> None:
        self.chunk_files = chunk_files

    def export(
        self,
        root: Path,
        traces: Sequence[TraceSummary],
        rows_of: RowsOf,
        out: Path,
        *,
        options: ExportOptions = DEFAULTS,
        progress: Progress | None = None,
    ) -> ExportReport:
        """Write the data set; see ``Exporter.export``.

        A data set has one screen size and one frame rate: those of the first trace. Traces
        of another are left out.
        """
        require_av()
        require_pyarrow()
        selection = _alike(select(traces, rows_of, options))
        counter = Counter(progress, selection.frames)
        with new_folder(out) as folder:
            writer = _Writer(folder, selection.episodes[0], options, self.chunk_files)
            try:
                for episode in selection.episodes:
                    writer.add(root, episode, counter)
                writer.finish()
            finally:
                writer.close()
        return selection.report(*files_in(out))


@dataclass(slots=True)
class _Columns:
    """An episode's values, one per frame."""

    actions: list[npt.NDArray[np.float32]]
    tasks: list[int]
    times_ns: list[int]


class _Writer:
    """A data set under construction."""

    def __init__(
        self, folder: Path, like: Episode, options: ExportOptions, chunk_files: int
    ) -> None:
        header = like.header
        self._folder = folder
        self._fps = header.fps
        self._screen = (header.width_px, header.height_px)
        self._options = options
        self._chunk_files = chunk_files
        self._data = DataFiles(folder, options.shard_bytes, chunk_files)
        self._videos = VideoFiles(folder, header, options, chunk_files)
        self._tasks: dict[str, int] = {}
        self._rows: list[dict[str, Any]] = []
        self._stats: dict[str, list[Stats]] = {}
        self._frames = 0

    def add(self, root: Path, episode: Episode, counter: Counter) -> None:
        """Write an episode's frames and note what is to be said of it."""
        number = len(self._rows)
        self._videos.begin_episode(episode.frames)
        pictures = PictureStats()
        columns = _Columns([], [], [])
        last = Action()
        for second in seconds(root, episode):
            for frame in second.clip.frames:
                self._videos.add(frame)
            # One picture a second says as much of the colours as all of them.
            pictures.add(second.clip.frames[0])
            columns.actions += [action_vector(action) for action in second.actions]
            columns.tasks += [self._task(task) for task in second.tasks]
            columns.times_ns += second.clip.t_mono_ns
            last = second.actions[-1]
            counter.add(len(second.clip.frames))
        table = self._table(number, columns, last)
        place = self._data.add(table)
        stats = {name: column_stats(values) for name, values in table.items()}
        stats[SCREEN] = pictures.result()
        self._note(episode, place, table, stats)
        self._frames += episode.frames

    def finish(self) -> None:
        """Write what describes the whole."""
        pa, parquet = require_pyarrow()
        self.close()
        tasks = tasks_table(list(self._tasks))
        parquet.write_table(tasks, FilePlace().path(self._folder, TASKS_PATH))
        episodes = pa.Table.from_pylist(self._rows)
        parquet.write_table(episodes, FilePlace().path(self._folder, EPISODES_PATH))
        stats = {name: as_lists(merged(parts)) for name, parts in self._stats.items()}
        write_json(self._folder / STATS_PATH, stats)
        described = info(
            fps=self._fps,
            episodes=len(self._rows),
            frames=self._frames,
            tasks=len(self._tasks),
            chunk_files=self._chunk_files,
            file_bytes=self._options.shard_bytes,
            features=features(*self._screen, self._videos.description()),
        )
        write_json(self._folder / INFO_PATH, described)

    def close(self) -> None:
        """Close the files that are open; closing again does nothing."""
        self._data.close()
        self._videos.close()

    def _task(self, task: str) -> int:
        return self._tasks.setdefault(task, len(self._tasks))

    def _table(self, number: int, columns: _Columns, last: Action) -> dict[str, npt.NDArray[Any]]:
        """Return an episode's columns, each action beside the frame that it follows."""
        count = len(columns.times_ns)
        at_rest = replace(
            last, clicked=(False, False, False), clicks=0, wheel_dy=0, keys=last.keys_held
        )
        index = np.arange(count, dtype=np.int64)
        return {
            "action": np.stack([*columns.actions[1:], action_vector(at_rest)]),
            "next.done": index == count - 1,
            "time_ns": np.array(columns.times_ns, np.int64),
            "timestamp": (index / self._fps).astype(np.float32),
            "frame_index": index,
            "episode_index": np.full(count, number, np.int64),
            "index": index + self._frames,
            "task_index": np.array([*columns.tasks[1:], columns.tasks[-1]], np.int64),
        }

    def _note(
        self,
        episode: Episode,
        place: FilePlace,
        table: dict[str, npt.NDArray[Any]],
        stats: dict[str, Stats],
    ) -> None:
        """Add an episode's row, and its statistics to those of the whole."""
        names = list(self._tasks)
        video, from_s = self._videos.place, self._videos.episode_from_s
        used = dict.fromkeys(table["task_index"].tolist())
        row: dict[str, Any] = {
            "episode_index": len(self._rows),
            "tasks": [names[index] for index in used],
            "length": episode.frames,
            "data/chunk_index": place.chunk,
            "data/file_index": place.file,
            "dataset_from_index": self._frames,
            "dataset_to_index": self._frames + episode.frames,
            f"videos/{SCREEN}/chunk_index": video.chunk,
            f"videos/{SCREEN}/file_index": video.file,
            f"videos/{SCREEN}/from_timestamp": from_s,
            f"videos/{SCREEN}/to_timestamp": from_s + episode.frames / self._fps,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
            "trace_id": episode.header.trace_id,
            "trace_first_frame": episode.rows[0].first_frame,
        }
        for name, values in stats.items():
            self._stats.setdefault(name, []).append(values)
            row |= {f"stats/{name}/{kind}": value for kind, value in as_lists(values).items()}
        self._rows.append(row)


def _alike(selection: Selection) -> Selection:
    """Return the episodes that fit into one data set with the first."""
    first = selection.episodes[0].header
    kept, left_out = [], list(selection.left_out)
    for episode in selection.episodes:
        header = episode.header
        if header.fps != first.fps:
            hint = f"{header.fps} frames a second among {first.fps}"
            left_out.append(LeftOut(header.trace_id, None, "fps", hint))
        elif (header.width_px, header.height_px) != (first.width_px, first.height_px):
            size = f"{header.width_px}x{header.height_px}"
            hint = f"{size} pixels among {first.width_px}x{first.height_px}"
            left_out.append(LeftOut(header.trace_id, None, "screen", hint))
        else:
            kept.append(episode)
    return Selection(tuple(kept), tuple(left_out))
