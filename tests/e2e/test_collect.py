"""Scripted users at real desktops, side by side, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.e2e.harness import neuralos

needs = pytest.mark.needs("Xvfb", "openbox", "pcmanfm", "xterm", "dbus-daemon", "chromium")


def collect(out: Path, *options: object) -> dict[str, Any]:
    done = neuralos("collect", "--desktop", "x11", "--out", out, "--workers", 2, "--json", *options)
    assert done.status == 0, done.stdout + done.stderr
    return done.json


@needs
def test_two_real_desktops_are_collected_verified_and_not_made_again(tmp_path: Path) -> None:
    options = ("--user", "task", "--traces", 2, "--seconds", 2, "--seed", 1)
    said = collect(tmp_path, *options, "--sheet", tmp_path / "sheet.png")
    assert said["verified"] is True
    assert [trace["frames"] for trace in said["traces"]] == [30, 30]
    assert all(trace["goal"] for trace in said["traces"])
    assert all(trace["fps"] > 0 for trace in said["traces"])
    assert np.asarray(Image.open(tmp_path / "sheet.png")).std() > 20
    assert collect(tmp_path, *options)["made_frames"] == 0
    shown = neuralos("traces", "show", tmp_path, said["traces"][0]["id"], "--json").json
    (trace,) = shown["traces"]
    assert trace["header"]["desktop"].startswith("x11")
    assert trace["header"]["anchor_mono_ns"] > 0
    assert trace["consent"] == "synthetic"


@pytest.mark.nightly
@needs
def test_tasks_on_real_desktops_reach_their_goals(tmp_path: Path) -> None:
    said = collect(tmp_path, "--user", "task", "--traces", 4, "--seconds", 20, "--seed", 1)
    assert [trace["frames"] for trace in said["traces"]] == [300] * 4
    assert all(trace["verified"] for trace in said["traces"])
    ended = [
        o["reached"] for t in said["traces"] for o in t["outcomes"] if o["reached"] is not None
    ]
    assert len(ended) >= 8
    assert sum(ended) >= 0.8 * len(ended)
    again = neuralos(
        "traces", "relabel", tmp_path, said["traces"][0]["id"], "--desktop", "x11", "--times", 3,
        "--json",
    )  # fmt: skip
    assert again.status == 0, again.stderr
    assert again.json["floor"]["replays"] == 3
    assert again.json["floor"]["changed_px"]["p50"] < 0.01
