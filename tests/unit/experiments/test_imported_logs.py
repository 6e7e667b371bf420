"""An imported log on its way to something to learn from: relabelled, exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from traces_desk import Neuralos

from data_collection.storage.store import TraceStore, read_clip

LOGS = Path(__file__).parents[2] / "data" / "demo_logs"
CLEAN = LOGS / "session_1755302411_17.jsonl"


@pytest.fixture
def neuralos(capsys: pytest.CaptureFixture[str]) -> Neuralos:
    return Neuralos(capsys)


def test_an_imported_log_gets_its_frames_from_a_real_desktop(
    neuralos: Neuralos, tmp_path: Path
) -> None:
    root, out = tmp_path / "store", tmp_path / "videos"
    status, imported = neuralos(
        "traces", "import", CLEAN, "--format", "demo-logs", "--consent", "given", "--out", root
    )
    assert (status, imported["warnings"]) == (0, [])
    (trace,) = imported["traces"]
    assert trace["frame_source"] == "missing"
    # Before the replay there is nothing to export, and nothing is half made.
    status, refused = neuralos("traces", "export", root, "--format", "mp4", "--out", out)
    assert (status, refused["error"]["code"]) == (3, "nothing_to_export")
    assert not out.exists()

    status, replayed = neuralos("traces", "relabel", root, "--desktop", "scripted")
    (replay,) = replayed["traces"]
    assert (status, replay["origin"], replay["frames"]) == (0, trace["id"], trace["frames"])
    store = TraceStore.open(root)
    rows = store.index.trace_rows(replay["id"])
    clips = [read_clip(root, row) for row in rows]
    store.close()
    assert all(row.frame_source == "real" and row.weight > 0 for row in rows)
    assert all(frame.any() for clip in clips for frame in clip.frames)
    # The log's last line points at the lower right corner.
    cursor = clips[-1].state["cursor"]
    assert (cursor["x_px"], cursor["y_px"]) == (511, 383)

    status, exported = neuralos("traces", "export", root, "--format", "mp4", "--out", out)
    assert (status, exported["frames"]) == (0, trace["frames"])
    assert [one["id"] for one in exported["traces"]] == [replay["id"]]
    assert [one["code"] for one in exported["left_out"]] == ["no_frames"]
    lines = (out / f"{replay['id']}.jsonl").read_text().splitlines()
    events = [event for line in lines for event in json.loads(line)["events"]]
    assert len(events) == trace["events"]
