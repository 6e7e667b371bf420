from __future__ import annotations

import errno
import json
from pathlib import Path

import av
import numpy as np
import pytest
from export_samples import actions_of, add, events_of, scripted_clips, small_store

from data_collection.events import event_from_json
from data_collection.exports import (
    FORMATS,
    ExportExists,
    ExportOptions,
    ExportUnwritable,
    NothingToExport,
    UnknownFormat,
    exporter_named,
)
from data_collection.trace import TraceHeader


def decoded(path: Path) -> tuple[np.ndarray, list[int]]:
    """Return the frames (N, H, W, 3) of a video and their times in microseconds."""
    frames, times = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            times.append(round(frame.pts * frame.time_base * 1_000_000))
    return np.stack(frames), times


def test_a_lossless_export_gives_back_frames_times_actions_and_events(tmp_path: Path) -> None:
    store, clips = small_store(tmp_path / "store")
    told: list[tuple[int, int]] = []
    report = FORMATS["mp4"].export(
        store.root,
        store.index.traces()[:1],
        store.index.trace_rows,
        tmp_path / "out",
        options=ExportOptions(lossless=True),
        progress=lambda done, total: told.append((done, total)),
    )
    assert report.traces == ("whole",)
    assert report.files == ("whole.json", "whole.jsonl", "whole.mp4")
    assert (report.episodes, report.frames, report.left_out) == (1, 45, ())
    assert report.bytes == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    assert told == [(0, 45), (15, 45), (30, 45), (45, 45)]
    frames, times_us = decoded(tmp_path / "out" / "whole.mp4")
    whole = clips["whole"]
    assert np.array_equal(frames, np.concatenate([clip.frames for clip in whole]))
    lines = [json.loads(line) for line in (tmp_path / "out" / "whole.jsonl").open()]
    assert [line["frame"] for line in lines] == list(range(45))
    assert [line["t_us"] for line in lines] == times_us
    assert [line["t_mono_ns"] for line in lines] == [t for clip in whole for t in clip.t_mono_ns]
    events = [tuple(event_from_json(event) for event in line["events"]) for line in lines]
    assert events == events_of(whole)
    for line, action in zip(lines, actions_of(whole), strict=True):
        assert (line["action"]["x_px"], line["action"]["y_px"]) == (action.x_px, action.y_px)
        assert tuple(line["action"]["held"]) == action.held
        assert set(line["action"]["keys"]) == action.keys
    described = json.loads((tmp_path / "out" / "whole.json").read_text())
    assert TraceHeader.from_json(described["trace"]) == store.header("whole")
    assert described["frames"] == 45
    store.close()


def test_a_lossy_export_is_near_and_the_gap_makes_two_episodes(tmp_path: Path) -> None:
    store, clips = small_store(tmp_path / "store")
    report = FORMATS["mp4"].export(
        store.root, store.index.traces()[1:], store.index.trace_rows, tmp_path / "out"
    )
    assert (report.episodes, report.frames) == (2, 45)
    assert [(one.trace, one.clip, one.code) for one in report.left_out] == [("gappy", 2, "gap")]
    for name, part in (("gappy", clips["gappy"][:2]), ("gappy-part1", clips["gappy"][2:])):
        frames, _ = decoded(tmp_path / "out" / f"{name}.mp4")
        expected = np.concatenate([clip.frames for clip in part])
        assert frames.shape == expected.shape
        assert np.abs(frames.astype(int) - expected).mean() < 4
    described = json.loads((tmp_path / "out" / "gappy-part1.json").read_text())
    assert (described["part"], described["first_frame"]) == (1, 45)
    store.close()


def test_only_what_may_leave_leaves(tmp_path: Path) -> None:
    store, _ = small_store(tmp_path / "store")
    for trace_id, source in (("dreamt", "simulator"), ("blank", "missing")):
        header, clips = scripted_clips(trace_id, 5, 1)
        add(store, TraceHeader.from_json({**header.to_json(), "frame_source": source}), clips)
    store.withdraw("gappy")

    def export(name: str, **options: object) -> tuple[set[str], dict[str, str]]:
        report = FORMATS["mp4"].export(
            store.root,
            store.index.traces(),
            store.index.trace_rows,
            tmp_path / name,
            options=ExportOptions(**options),  # type: ignore[arg-type]
        )
        videos = {file.removesuffix(".mp4") for file in report.files if file.endswith(".mp4")}
        return videos, {one.trace: one.code for one in report.left_out}

    refused = {"gappy": "withdrawn", "dreamt": "frame_source", "blank": "no_frames"}
    assert export("real") == ({"whole"}, refused)
    assert export("all", frame_source="any")[0] == {"whole", "dreamt"}
    assert export("dreams", frame_source="simulator")[0] == {"dreamt"}
    with pytest.raises(NothingToExport, match="none of these") as refusal:
        FORMATS["mp4"].export(
            store.root,
            [trace for trace in store.index.traces() if trace.header.trace_id == "gappy"],
            store.index.trace_rows,
            tmp_path / "none",
        )
    assert "withdrew" in refusal.value.hint
    assert not (tmp_path / "none").exists()
    store.close()


def test_nothing_half_written_looks_whole(tmp_path: Path) -> None:
    store, _ = small_store(tmp_path / "store")
    out = tmp_path / "out"

    def stop(done: int, total: int) -> None:
        if done >= 30:
            raise KeyboardInterrupt

    arguments = (store.root, store.index.traces(), store.index.trace_rows, out)
    with pytest.raises(KeyboardInterrupt):
        FORMATS["mp4"].export(*arguments, progress=stop)
    assert list(tmp_path.iterdir()) == [tmp_path / "store"]
    # What a killed export leaves is replaced by the next one; a stranger's folder is not.
    left = tmp_path / "out.unfinished"
    left.mkdir()
    with pytest.raises(ExportExists):
        FORMATS["mp4"].export(*arguments)
    (left / ".neuralos-export").touch()
    (left / "whole.mp4").write_bytes(b"torn")
    assert FORMATS["mp4"].export(*arguments).frames == 90
    assert not left.exists()
    with pytest.raises(ExportExists, match="is there already"):
        FORMATS["mp4"].export(*arguments)
    store.close()


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_is_named_and_nothing_is_left(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = small_store(tmp_path / "store")
    write = Path.write_text

    def full(path: Path, *rest: object, **named: object) -> int:
        if path.suffix == ".json":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ExportUnwritable, match="No space left on device") as failure:
        FORMATS[name].export(
            store.root, store.index.traces(), store.index.trace_rows, tmp_path / "out"
        )
    assert failure.value.hint
    assert list(tmp_path.iterdir()) == [tmp_path / "store"]
    store.close()


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(UnknownFormat, match="did you mean 'mp4'"):
        exporter_named("mp3")
