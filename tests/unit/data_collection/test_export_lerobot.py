from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from export_samples import actions_of, add, scripted_clips, small_store
from lerobot_reader import SCREEN, LeRobotReader

from data_collection.action import fold
from data_collection.events import Marker
from data_collection.exports import FORMATS, ExportOptions
from data_collection.exports.action_vector import NAMES, action_vector
from data_collection.exports.lerobot import LeRobotExporter
from data_collection.exports.lerobot_stats import column_stats, merged
from data_collection.trace import TraceHeader


def test_a_lossless_data_set_gives_back_frames_times_and_the_actions_after(tmp_path: Path) -> None:
    store, clips = small_store(tmp_path / "store")
    report = FORMATS["lerobot"].export(
        store.root,
        store.index.traces(),
        store.index.trace_rows,
        tmp_path / "out",
        options=ExportOptions(lossless=True),
    )
    assert (report.episodes, report.frames) == (3, 90)
    assert [(one.trace, one.clip, one.code) for one in report.left_out] == [("gappy", 2, "gap")]
    data = LeRobotReader(tmp_path / "out")
    assert (len(data), data.info["total_episodes"], data.info["fps"]) == (90, 3, 15)
    assert data.info["splits"] == {"train": "0:3"}
    assert data.info["features"][SCREEN]["shape"] == [192, 256, 3]
    assert data.info["features"]["action"]["names"] == list(NAMES)
    assert data.tasks == ["explorer"]
    parts = [clips["whole"], clips["gappy"][:2], clips["gappy"][2:]]
    index = 0
    for number, part in enumerate(parts):
        frames = np.concatenate([clip.frames for clip in part])
        times = [t for clip in part for t in clip.t_mono_ns]
        actions = actions_of(part)
        episode = data.episodes[number]
        first, end = episode["dataset_from_index"], episode["dataset_to_index"]
        assert (first, end, episode["length"]) == (index, index + len(frames), len(frames))
        assert episode["trace_id"] == ("whole" if number == 0 else "gappy")
        assert episode["trace_first_frame"] == part[0].first_frame
        for frame in range(len(frames)):
            item = data[index]
            assert (item["index"], item["episode_index"]) == (index, number)
            assert item["frame_index"] == frame
            assert item["timestamp"] == np.float32(frame / 15)
            assert item["time_ns"] == times[frame]
            assert item["next.done"] is (frame == len(frames) - 1)
            assert np.array_equal(item[SCREEN], frames[frame])
            if frame + 1 < len(frames):
                expected = action_vector(actions[frame + 1])
            else:
                expected = action_vector(fold((), actions[frame]))
            assert np.array_equal(np.array(item["action"], np.float32), expected)
            index += 1
    store.close()


def test_every_episode_begins_with_a_key_frame(tmp_path: Path) -> None:
    store, _ = small_store(tmp_path / "store")
    header, clips = scripted_clips("short", 9, 1)
    short = replace(
        clips[0],
        frames=clips[0].frames[:7],
        events=clips[0].events[:7],
        t_mono_ns=clips[0].t_mono_ns[:7],
    )
    add(store, header, [short])
    traces = store.index.traces()
    FORMATS["lerobot"].export(
        store.root, [traces[2], *traces[:2]], store.index.trace_rows, tmp_path / "out"
    )
    data = LeRobotReader(tmp_path / "out")
    keys = set()
    with av.open(str(data.video_path(data.episodes[0]))) as container:
        for packet in container.demux(video=0):
            if packet.is_keyframe and packet.pts is not None:
                keys.add(round(packet.pts * packet.time_base * 15))
    starts = [episode[f"videos/{SCREEN}/from_timestamp"] * 15 for episode in data.episodes]
    assert starts == pytest.approx([0, 7, 52, 82])
    assert {round(start) for start in starts} <= keys
    store.close()


def test_files_and_chunks_are_bounded(tmp_path: Path) -> None:
    store, clips = small_store(tmp_path / "store")
    header, more = scripted_clips("third", 7, 1)
    add(store, header, more)
    LeRobotExporter(chunk_files=2).export(
        store.root,
        store.index.traces(),
        store.index.trace_rows,
        tmp_path / "out",
        options=ExportOptions(shard_bytes=1),
    )
    data = LeRobotReader(tmp_path / "out")
    for path_of in (data.data_path, data.video_path):
        places = [path_of(episode).relative_to(data.root).parts[-2:] for episode in data.episodes]
        assert [f"{chunk}/{Path(file).stem}" for chunk, file in places] == [
            "chunk-000/file-000",
            "chunk-000/file-001",
            "chunk-001/file-000",
            "chunk-001/file-001",
        ]
    assert data.info["chunks_size"] == 2
    recorded = [clip for part in (clips["whole"], clips["gappy"], more) for clip in part]
    frames = np.concatenate([clip.frames for clip in recorded])
    for index in range(len(data)):
        assert np.abs(data[index][SCREEN].astype(int) - frames[index]).mean() < 4
    store.close()


def test_goals_become_tasks_from_where_they_were_set(tmp_path: Path) -> None:
    store, _ = small_store(tmp_path / "store")
    header, (clip,) = scripted_clips("goals", 3, 1)
    events = list(clip.events)
    events[5] = (Marker("goal", "open Home"), *events[5])
    events[9] = (*events[9], Marker("goal_reached", "open Home"), Marker("goal", "close Home"))
    add(store, header, [replace(clip, events=tuple(events))])
    FORMATS["lerobot"].export(
        store.root, store.index.traces()[2:], store.index.trace_rows, tmp_path / "out"
    )
    data = LeRobotReader(tmp_path / "out")
    # A row's task is that of its action, which is the next frame's.
    tasks = [data[index]["task"] for index in range(15)]
    assert tasks == ["explorer"] * 4 + ["open Home"] * 4 + ["close Home"] * 7
    assert data.episodes[0]["tasks"] == ["explorer", "open Home", "close Home"]
    store.close()


def test_one_data_set_has_one_screen_and_one_rate(tmp_path: Path) -> None:
    store, _ = small_store(tmp_path / "store")
    header, (clip,) = scripted_clips("narrow", 4, 1)
    narrow = TraceHeader.from_json({**header.to_json(), "width_px": 128})
    add(store, narrow, [replace(clip, frames=clip.frames[:, :, :128])])
    slow = TraceHeader.from_json({**header.to_json(), "trace_id": "slow", "fps": 5})
    add(store, slow, [replace(clip, trace_id="slow")])
    report = FORMATS["lerobot"].export(
        store.root, store.index.traces(), store.index.trace_rows, tmp_path / "out"
    )
    codes = {one.trace: one.code for one in report.left_out}
    assert codes == {"gappy": "gap", "narrow": "screen", "slow": "fps"}
    assert report.episodes == 3
    store.close()


def test_the_statistics_are_those_of_the_data(tmp_path: Path) -> None:
    store, clips = small_store(tmp_path / "store")
    FORMATS["lerobot"].export(
        store.root, store.index.traces(), store.index.trace_rows, tmp_path / "out"
    )
    data = LeRobotReader(tmp_path / "out")
    assert set(data.stats) == set(data.info["features"])
    actions = np.array([row["action"] for row in data.data])
    stats = data.stats["action"]
    for name, expected in (
        ("min", actions.min(axis=0)),
        ("max", actions.max(axis=0)),
        ("mean", actions.mean(axis=0)),
        ("std", actions.std(axis=0)),
    ):
        assert stats[name] == pytest.approx(expected.tolist(), abs=1e-6), name
    assert stats["count"] == [90]
    first = [clip.frames[0] for part in clips.values() for clip in part]
    pixels = np.stack(first).reshape(-1, 3) / 255
    picture = data.stats[SCREEN]
    assert np.array(picture["mean"]).shape == (3, 1, 1)
    assert np.ravel(picture["mean"]) == pytest.approx(pixels.mean(axis=0))
    assert np.ravel(picture["std"]) == pytest.approx(pixels.std(axis=0))
    assert np.ravel(picture["max"]) == pytest.approx(pixels.max(axis=0))
    assert picture["count"] == [6]
    episode = pq.read_table(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    whole = pixels[: 3 * 192 * 256]
    assert np.ravel(episode[0][f"stats/{SCREEN}/q50"]) == pytest.approx(np.median(whole, axis=0))
    store.close()


def test_merged_statistics_equal_those_of_all_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 4))
    parts = [column_stats(part) for part in np.split(values, (50, 120))]
    whole, together = column_stats(values), merged(parts)
    for name in ("min", "max", "mean", "std", "count"):
        assert together[name] == pytest.approx(whole[name]), name
