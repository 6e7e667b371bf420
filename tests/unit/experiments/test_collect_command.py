from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_collection.clock import SystemClock
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.recording.collect import collect, synthetic_header
from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.users import make_user
from experiments.cli import cli
from experiments.collecting import CollectPlan, standings
from experiments.console import run_cli
from experiments.contact_sheet import evenly_spaced
from interactive.record.run_folder import RunFolder, RunInfo

SMALL = ("--traces", "2", "--seconds", "2", "--seed", "4", "--json")


def neuralos(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    status = run_cli(cli, [str(word) for word in arguments])
    said = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert isinstance(said, dict)
    return status, said


def fill(store: TraceStore, plan: CollectPlan, number: int, clips: range, attempt: int = 1) -> None:
    """Put clips of a plan's trace into a store, as an interrupted command left them."""
    desktop = ScriptedDesktop()
    trace_id = plan.trace_id(number, attempt)
    seed = plan.seed * 100_003 + number
    header = synthetic_header(trace_id, desktop, seed=seed, source=plan.source, policy=plan.user)
    store.open_trace(header)
    for clip in collect(desktop, make_user(plan.user), header, plan.seconds):
        if clip.seq in clips:
            store.append(header, EncodedClip.of(clip, encode_clip(clip)), 1.0)


def bodies(folder: Path) -> dict[tuple[str, int], str]:
    store = TraceStore.open(folder)
    try:
        return {(row.trace_id, row.seq): row.body_sha for row in store.index.rows_after(0, 1000)}
    finally:
        store.close()


def test_the_same_command_again_makes_only_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = CollectPlan("scripted", "task", traces=2, seconds=2, seed=4)
    store = TraceStore.open(tmp_path / "cut")
    fill(store, plan, 0, range(2))
    fill(store, plan, 1, range(1))
    store.close()
    status, said = neuralos(capsys, "collect", *SMALL, "--out", tmp_path / "cut")
    assert (status, said["schema"], said["verified"]) == (0, "neuralos.collect/1", True)
    assert [trace["made"] for trace in said["traces"]] == [False, True]
    assert [(t["frames"], t["fps"]) for t in said["traces"]] == [(30, 15.0), (30, 15.0)]
    assert all(trace["goal"] and trace["outcomes"] for trace in said["traces"])
    whole = TraceStore.open(tmp_path / "whole")
    for number in range(2):
        fill(whole, plan, number, range(2))
    whole.close()
    assert bodies(tmp_path / "cut") == bodies(tmp_path / "whole")
    status, again = neuralos(capsys, "collect", *SMALL, "--out", tmp_path / "cut")
    assert (status, again["made_frames"]) == (0, 0)
    assert bodies(tmp_path / "cut") == bodies(tmp_path / "whole")


def test_a_short_trace_in_real_time_is_kept_and_another_made(tmp_path: Path) -> None:
    plan = CollectPlan("x11", "task", traces=1, seconds=2, seed=4)
    store = TraceStore.open(tmp_path)
    fill(store, plan, 0, range(1))
    (standing,) = standings(plan, store)
    assert standing.earlier == (plan.trace_id(0),)
    assert standing.job is not None
    assert standing.job.trace_id == plan.trace_id(0, attempt=2)
    assert standing.job.present == frozenset()
    fill(store, plan, 0, range(2), attempt=2)
    (standing,) = standings(plan, store)
    assert (standing.job, standing.trace_id) == (None, plan.trace_id(0, attempt=2))
    store.close()


def test_traces_of_other_lengths_users_and_screens_have_other_ids() -> None:
    one = CollectPlan("x11", "task", 1, 20, 1)
    others = [
        CollectPlan("x11", "task", 1, 21, 1),
        CollectPlan("x11", "explorer", 1, 20, 1),
        CollectPlan("x11", "task", 1, 20, 1, profile="xfce"),
        CollectPlan("scripted", "task", 1, 20, 1),
        CollectPlan("x11", "task", 1, 20, 1, width_px=640),
    ]
    ids = {plan.trace_id(0) for plan in [one, *others]}
    assert len(ids) == 1 + len(others)
    assert one.trace_id(0) == "collect-x11-lean-task-20s-1-0000"


def test_a_sheet_has_a_row_for_each_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "pictures" / "sheet.png"
    plan = CollectPlan("scripted", "task", traces=2, seconds=2, seed=4)
    store = TraceStore.open(tmp_path / "out")
    for number in range(2):
        fill(store, plan, number, range(2))
    frames = evenly_spaced(store.root, store.index.trace_rows(plan.trace_id(0)), 6)
    assert len(frames) == 6
    store.close()
    status, said = neuralos(capsys, "collect", *SMALL, "--out", tmp_path / "out", "--sheet", sheet)
    assert (status, said["sheet"]) == (0, str(sheet))
    picture = np.asarray(Image.open(sheet))
    # The wallpaper shows in both rows and in the last column.
    corners = [picture[60, 20], picture[-30, 20], picture[60, -20], picture[-30, -20]]
    assert all(corner.max() - corner.min() > 20 for corner in corners)


def test_a_runs_folder_stands_for_its_traces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder.create(tmp_path / "run", config="", info=RunInfo("", 0, "test"))
    plan = CollectPlan("scripted", "task", traces=2, seconds=2, seed=4)
    store = TraceStore.open(run.traces)
    for number in range(2):
        fill(store, plan, number, range(2))
    store.close()
    status, said = neuralos(capsys, "collect", *SMALL, "--out", run.path)
    assert (status, said["made_frames"], said["verified"]) == (0, 0, True)


def test_an_unknown_user_is_named_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = neuralos(
        capsys, "collect", "--user", "tusk", "--out", tmp_path / "out", "--json"
    )
    assert (status, said["error"]["code"]) == (2, "unknown_user")
    assert not (tmp_path / "out").exists()


def test_ctrl_c_ends_it_cleanly_with_what_is_there(tmp_path: Path) -> None:
    code = "from experiments.cli import main; main()"
    command = [sys.executable, "-c", code, "collect", "--traces", "9", "--seconds", "500"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    clock = SystemClock()
    deadline_ns = clock.monotonic_ns() + 60 * 10**9
    while not list(tmp_path.glob("*.mcap")) and clock.monotonic_ns() < deadline_ns:
        clock.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    said = json.loads(out.strip().splitlines()[-1])
    assert process.returncode == 130
    assert said["traces"][0]["reason"] == "interrupted"
    assert said["traces"][0]["frames"] > 0
    assert (len(said["traces"]), said["problems"], said["verified"]) == (9, [], False)
