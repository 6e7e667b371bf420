from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from traces_desk import FIRST, SECOND, Neuralos, drawn, make_run, make_store, put

from data_collection.storage.store import TraceStore
from data_collection.trace import ClipRow
from interactive.record.metrics import MetricsRow, MetricsWriter
from interactive.trainer import StepRecord


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store that no test changes."""
    return make_store(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_store(tmp_path / "store")


@pytest.fixture
def neuralos(capsys: pytest.CaptureFixture[str]) -> Neuralos:
    return Neuralos(capsys)


def damage(store: Path, trace_id: str) -> None:
    """Change a byte in the middle of a trace's file."""
    path = store / f"{trace_id}.mcap"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def test_list_tells_what_each_trace_is(whole: Path, neuralos: Neuralos) -> None:
    status, said = neuralos("traces", "list", whole)
    assert (status, said["schema"], said["ok"]) == (0, "neuralos.traces.list/1", True)
    assert [trace["id"] for trace in said["traces"]] == [FIRST, SECOND]
    first = said["traces"][0]
    assert (first["desktop"], first["source"], first["policy"]) == ("scripted", "base", "task")
    assert (first["seconds"], first["clips"], first["consent"]) == (2.0, 2, "synthetic")
    assert first["withdrawn"] is False
    assert first["size_bytes"] > 1000
    assert FIRST in neuralos.text("traces", "list", whole)[1]


def test_show_tells_events_goals_and_clips(whole: Path, neuralos: Neuralos) -> None:
    status, said = neuralos("traces", "show", whole, FIRST)
    (trace,) = said["traces"]
    assert status == 0
    assert trace["header"]["seed"] == 0
    assert trace["events"]["pointer_moved"] > 5
    assert trace["goal"]
    assert trace["outcomes"][0]["goal"] in trace["goal"]
    assert (trace["fps"], trace["missing"]) == (15.0, [])
    assert [(clip["seq"], clip["frames"]) for clip in trace["clips_table"]] == [(0, 15), (1, 15)]
    text = neuralos.text("traces", "show", whole, FIRST)[1]
    assert trace["outcomes"][0]["goal"] in text


def test_show_saves_a_frame_as_it_was(whole: Path, tmp_path: Path, neuralos: Neuralos) -> None:
    png = tmp_path / "pictures" / "frame.png"
    status, said = neuralos("traces", "show", whole, SECOND, "--frame", 17, "--to", png)
    assert (status, said["frame_png"]) == (0, str(png))
    _, clips = drawn(SECOND, 1)
    assert np.array_equal(np.asarray(Image.open(png)), clips[1].frames[2])
    status, said = neuralos("traces", "show", whole, SECOND, "--frame", 30, "--to", png)
    assert (status, said["error"]["code"]) == (2, "unknown_frame")
    assert neuralos("traces", "show", whole, SECOND, "--frame", 3)[0] == 2


def test_what_is_not_there_is_named(whole: Path, tmp_path: Path, neuralos: Neuralos) -> None:
    status, said = neuralos("traces", "show", whole, "nobody")
    assert (status, said["error"]["code"]) == (2, "unknown_trace")
    status, said = neuralos("traces", "list", tmp_path)
    assert (status, said["error"]["code"]) == (2, "no_store")
    assert list(tmp_path.iterdir()) == []


def test_verify_names_the_clip_that_is_damaged(store: Path, neuralos: Neuralos) -> None:
    status, said = neuralos("traces", "verify", store)
    assert (status, said["ok"], said["problems"]) == (0, True, [])
    damage(store, FIRST)
    status, said = neuralos("traces", "verify", store)
    assert (status, said["ok"]) == (1, False)
    assert {problem["trace"] for problem in said["problems"]} == {FIRST}
    assert {"trace", "clip", "code", "hint"} == set(said["problems"][0])
    assert [trace["ok"] for trace in said["traces"]] == [False, True]
    status, said = neuralos("traces", "show", store, FIRST)
    assert status == 1


def test_recover_says_what_came_back_and_what_was_cut(store: Path, neuralos: Neuralos) -> None:
    assert neuralos("traces", "recover", store) == (
        0, {"schema": "neuralos.traces.recover/1", "traces": [], "ok": True, "problems": []},
    )  # fmt: skip
    for name in ("index.db", "index.db-wal", "index.db-shm"):
        (store / name).unlink(missing_ok=True)
    with (store / f"{SECOND}.mcap").open("r+b") as file:
        file.truncate((store / f"{SECOND}.mcap").stat().st_size - 200)
    status, said = neuralos("traces", "recover", store)
    assert status == 0
    found = {trace["id"]: trace for trace in said["traces"]}
    assert found[FIRST]["clips"] == 2
    assert found[SECOND]["clips"] == 1
    assert found[SECOND]["cut_bytes"] > 0
    assert found[SECOND]["reason"]
    assert neuralos("traces", "verify", store)[0] == 0


def test_recover_closes_a_single_file(store: Path, tmp_path: Path, neuralos: Neuralos) -> None:
    torn = tmp_path / f"{FIRST}.mcap"
    torn.write_bytes((store / f"{FIRST}.mcap").read_bytes()[:-300])
    status, said = neuralos("traces", "recover", torn)
    assert status == 0
    assert [(t["id"], t["clips"]) for t in said["traces"]] == [(FIRST, 1)]
    assert said["traces"][0]["cut_bytes"] > 0
    torn.write_bytes(b"no trace")
    status, said = neuralos("traces", "recover", torn)
    assert (status, said["error"]["code"]) == (1, "no_trace")


def test_delete_asks_first(store: Path, neuralos: Neuralos) -> None:
    status, said = neuralos("traces", "delete", store, FIRST)
    assert (status, said["error"]["code"]) == (3, "not_confirmed")
    assert neuralos("traces", "list", store)[1]["traces"][0]["withdrawn"] is False


def test_deleted_clips_are_destroyed_and_the_others_stay(store: Path, neuralos: Neuralos) -> None:
    body = read_body(store, FIRST, 1)
    assert body in (store / f"{FIRST}.mcap").read_bytes()
    status, said = neuralos("traces", "delete", store, FIRST, "--clips", "1", "--yes")
    assert status == 0
    assert said["traces"] == [{"id": FIRST, "clips": [1], "whole": False, "replays": []}]
    assert said["purged_bytes"] == len(body)
    assert "remains" in said["remains"]
    assert body[:64] not in (store / f"{FIRST}.mcap").read_bytes()
    assert neuralos("traces", "verify", store)[0] == 0
    listed = neuralos("traces", "list", store)[1]["traces"][0]
    assert (listed["clips"], listed["withdrawn_clips"], listed["withdrawn"]) == (1, 1, False)


def test_a_deleted_trace_is_gone(store: Path, neuralos: Neuralos) -> None:
    status, said = neuralos("traces", "delete", store, FIRST, "--yes")
    assert (status, said["traces"][0]["clips"]) == (0, [0, 1])
    assert (store / f"{FIRST}.mcap").stat().st_size < 4096
    again = neuralos("traces", "delete", store, FIRST, "--yes")
    assert again[0] == 0
    listed = neuralos("traces", "list", store)[1]["traces"]
    assert [trace["withdrawn"] for trace in listed] == [True, False]
    assert neuralos("traces", "verify", store)[0] == 0


@pytest.mark.parametrize("clips", ["a", "3-", "9-3", "-1"])
def test_clips_that_are_no_range_are_refused(whole: Path, neuralos: Neuralos, clips: str) -> None:
    assert neuralos("traces", "delete", whole, FIRST, "--clips", clips, "--yes")[0] == 2


def test_a_store_that_another_process_holds_is_named_with_its_holder(
    store: Path, neuralos: Neuralos
) -> None:
    held = TraceStore.open(store)
    try:
        for command in ("list", "verify"):
            status, said = neuralos("traces", command, store)
            assert (status, said["error"]["code"]) == (4, "store_locked")
            assert "held by process" in said["error"]["message"]
    finally:
        held.close()


def test_a_stopped_run_that_needs_the_bytes_no_more_destroys_them_at_once(
    tmp_path: Path, neuralos: Neuralos
) -> None:
    run = make_run(tmp_path / "run")
    make_store(run.traces)
    body = read_body(run.traces, FIRST, 1)
    status, said = neuralos("traces", "delete", run.path, FIRST, "--clips", "0-1", "--yes")
    assert (status, said["steps_that_learned"]) == (0, 0)
    assert said["purged_bytes"] > len(body)
    assert body not in (run.traces / f"{FIRST}.mcap").read_bytes()
    assert neuralos("traces", "list", run.path)[1]["traces"][0]["withdrawn_clips"] == 2


def test_delete_says_how_many_steps_have_learned_from_the_clips(
    tmp_path: Path, neuralos: Neuralos
) -> None:
    run = make_run(tmp_path / "run")
    make_store(run.traces)
    commits = [row.commit for row in rows_of(run.traces, SECOND)]
    metrics = MetricsWriter.open(run.metrics)
    for step, used in enumerate(([commits[0]], [1], commits, [commits[1]]), start=1):
        record = StepRecord(step, loss=1.0, grad_norm=1.0, lr=0.1, commits=tuple(used), digest=None)
        metrics.append(MetricsRow.of(record, branch="main", mark=4, entries=0, wall_s=1.0))
    metrics.close()
    status, said = neuralos("traces", "delete", run.path, SECOND, "--clips", "1", "--yes")
    assert (status, said["steps_that_learned"]) == (0, 2)
    assert "2 steps" in said["remains"]


def read_body(store: Path, trace_id: str, seq: int) -> bytes:
    row = rows_of(store, trace_id)[seq]
    content = (store / row.file).read_bytes()
    return content[row.offset : row.offset + row.length]


def rows_of(store: Path, trace_id: str) -> list[ClipRow]:
    opened = TraceStore.open(store)
    try:
        return opened.index.trace_rows(trace_id)
    finally:
        opened.close()


def test_relabel_measures_the_floor_and_is_not_done_twice(store: Path, neuralos: Neuralos) -> None:
    status, said = neuralos("traces", "relabel", store, FIRST, "--times", 3)
    assert status == 0
    (made,) = said["traces"]
    assert (made["id"], made["origin"], made["made"]) == (f"{FIRST}-on-scripted", FIRST, True)
    assert said["floor"]["mse"] == said["floor"]["changed_px"] == {"p50": 0, "p95": 0, "max": 0}
    assert said["floor"]["frames"] == 30
    status, said = neuralos("traces", "relabel", store, FIRST)
    assert (status, said["traces"][0]["made"], said["floor"]) == (0, False, None)
    listed: list[dict[str, Any]] = neuralos("traces", "list", store)[1]["traces"]
    assert [(trace["id"], trace["origin"]) for trace in listed[2:]] == [(made["id"], FIRST)]


def test_a_replay_goes_with_its_origin(store: Path, neuralos: Neuralos) -> None:
    assert neuralos("traces", "relabel", store, FIRST)[0] == 0
    replay = f"{FIRST}-on-scripted"
    status, said = neuralos("traces", "delete", store, FIRST, "--clips", "1", "--yes")
    assert (status, said["traces"][0]["replays"]) == (0, [replay])
    listed = {trace["id"]: trace for trace in neuralos("traces", "list", store)[1]["traces"]}
    assert (listed[FIRST]["withdrawn_clips"], listed[replay]["withdrawn_clips"]) == (1, 1)
    assert listed[SECOND]["withdrawn_clips"] == 0
    assert neuralos("traces", "delete", store, FIRST, "--yes")[0] == 0
    listed = {trace["id"]: trace for trace in neuralos("traces", "list", store)[1]["traces"]}
    assert [listed[one]["withdrawn"] for one in (FIRST, replay, SECOND)] == [True, True, False]
    assert neuralos("traces", "verify", store)[0] == 0


def test_relabel_names_what_it_refuses_and_why(store: Path, neuralos: Neuralos) -> None:
    opened = TraceStore.open(store)
    header, clips = drawn("tail", 3)
    put(opened, header, clips[1:])
    opened.close()
    status, said = neuralos("traces", "relabel", store, "tail", FIRST)
    assert status == 1
    assert [(p["trace"], p["clip"], p["code"]) for p in said["problems"]] == [
        ("tail", None, "incomplete")
    ]
    assert [trace["origin"] for trace in said["traces"]] == [FIRST]


def test_following_needs_a_server(store: Path, neuralos: Neuralos) -> None:
    status, said = neuralos("traces", "relabel", store, "--follow")
    assert (status, said["error"]["code"]) == (2, "not_served")


def test_play_shows_a_replay_beside_its_origin(
    store: Path, tmp_path: Path, neuralos: Neuralos
) -> None:
    shot = tmp_path / "shots" / "player.png"
    status, said = neuralos("traces", "play", store, FIRST, "--shot", shot, "--frame", 7)
    assert (status, [trace["id"] for trace in said["traces"]]) == (0, [FIRST])
    alone = np.asarray(Image.open(shot))
    assert neuralos("traces", "relabel", store, FIRST)[0] == 0
    status, said = neuralos("traces", "play", store, FIRST, "--shot", shot, "--frame", 7)
    assert [trace["id"] for trace in said["traces"]] == [FIRST, f"{FIRST}-on-scripted"]
    both = np.asarray(Image.open(shot))
    assert both.shape[1] > 1.5 * alone.shape[1]
    origin = neuralos("traces", "play", store, f"{FIRST}-on-scripted", "--shot", shot)[1]
    assert [trace["id"] for trace in origin["traces"]] == [f"{FIRST}-on-scripted", FIRST]
    status, said = neuralos("traces", "play", store, FIRST, "--alone", "--shot", shot)
    assert [trace["id"] for trace in said["traces"]] == [FIRST]


def test_a_trace_without_clips_is_not_played(store: Path, neuralos: Neuralos) -> None:
    assert neuralos("traces", "delete", store, FIRST, "--yes")[0] == 0
    status, said = neuralos("traces", "play", store, FIRST, "--shot", store / "shot.png")
    assert (status, said["error"]["code"]) == (2, "nothing_to_play")
