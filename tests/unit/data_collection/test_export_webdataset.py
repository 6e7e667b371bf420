from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset as wds
from export_samples import actions_of, events_of, small_store

from data_collection.events import event_from_json
from data_collection.exports import FORMATS, ExportOptions, NothingToExport
from data_collection.exports.action_vector import NAMES, action_vector


def samples_of(folder: Path) -> list[dict[str, Any]]:
    """Return all samples as the package itself decodes them."""
    shards = [str(path) for path in sorted(folder.glob("*.tar"))]
    return list(wds.WebDataset(shards, shardshuffle=False, empty_check=False).decode("rgb8"))


def test_the_package_streams_the_segments(tmp_path: Path) -> None:
    store, clips = small_store(tmp_path / "store")
    report = FORMATS["webdataset"].export(
        store.root,
        store.index.traces(),
        store.index.trace_rows,
        tmp_path / "out",
        options=ExportOptions(segment_frames=12, shard_bytes=50_000),
    )
    samples = samples_of(tmp_path / "out")
    # 45 frames give 3 segments, 30 give 2, 15 give 1; 9 + 6 + 3 frames are left.
    assert [sample["__key__"] for sample in samples] == [
        "whole-00000000",
        "whole-00000012",
        "whole-00000024",
        "gappy-00000000",
        "gappy-00000012",
        "gappy-00000045",
    ]
    assert (report.episodes, report.frames) == (3, 72)
    assert [one.code for one in report.left_out] == ["gap", *["short_tail"] * 3]
    assert report.traces == ("whole", "gappy")
    recorded = {"whole": clips["whole"], "gappy": clips["gappy"][:2], "tail": clips["gappy"][2:]}
    for sample in samples:
        described = sample["json"]
        first = described["first_frame"]
        name = "tail" if first == 45 else described["trace"]
        first -= 45 if name == "tail" else 0
        window = slice(first, first + 12)
        part = recorded[name]
        frames = np.stack([sample[f"{index:03d}.webp"] for index in range(12)])
        assert np.array_equal(frames, np.concatenate([clip.frames for clip in part])[window])
        actions = np.stack([action_vector(action) for action in actions_of(part)[window]])
        assert np.array_equal(sample["actions.npy"], actions)
        assert described["t_mono_ns"] == [t for clip in part for t in clip.t_mono_ns][window]
        events = [tuple(map(event_from_json, group)) for group in described["events"]]
        assert events == events_of(part)[window]
    described = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert described["action_names"] == list(NAMES)
    sizes = [(tmp_path / "out" / shard["file"]).stat().st_size for shard in described["shards"]]
    assert len(sizes) > 1
    assert sum(shard["samples"] for shard in described["shards"]) == 6
    # A tar file ends with blocks of zeros beyond its samples.
    assert max(sizes) <= 50_000 + 10_240
    store.close()


def test_the_same_traces_give_the_same_bytes(tmp_path: Path) -> None:
    store, _ = small_store(tmp_path / "store")
    for name in ("one", "two"):
        FORMATS["webdataset"].export(
            store.root, store.index.traces(), store.index.trace_rows, tmp_path / name
        )
    shards = [(tmp_path / name / "shard-000000.tar").read_bytes() for name in ("one", "two")]
    assert shards[0] == shards[1]
    store.close()


def test_a_withdrawn_clip_cuts_its_trace(tmp_path: Path) -> None:
    store, _ = small_store(tmp_path / "store")
    store.withdraw("whole", 1, 1)
    report = FORMATS["webdataset"].export(
        store.root,
        store.index.traces()[:1],
        store.index.trace_rows,
        tmp_path / "out",
        options=ExportOptions(segment_frames=15),
    )
    assert [s["json"]["first_frame"] for s in samples_of(tmp_path / "out")] == [0, 30]
    assert [(one.clip, one.code) for one in report.left_out] == [(1, "withdrawn")]
    with pytest.raises(NothingToExport, match="no whole segment"):
        FORMATS["webdataset"].export(
            store.root,
            store.index.traces()[:1],
            store.index.trace_rows,
            tmp_path / "long",
            options=ExportOptions(segment_frames=16),
        )
    assert not (tmp_path / "long").exists()
    store.close()
