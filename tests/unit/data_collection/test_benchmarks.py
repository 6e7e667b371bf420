"""The benchmarks of storage run and say what they promise; on little, at night."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]


def run(name: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, f"benchmarks/{name}.py", "--json", *options]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    assert set(report) >= {"schema", "rows", "machine", "versions"}
    return report


@pytest.mark.nightly
def test_the_store_is_smaller_than_pictures_and_lossless_video_and_survives() -> None:
    rows = run("trace_store", "--traces", "2", "--seconds", "8", "--windows", "20")["rows"]
    ours, *others = rows
    assert ours["format"] == "this store"
    assert ours["surviving_frames"] >= ours["handed_frames"] > 0
    sizes = {row["format"]: row["bytes_per_frame"] for row in others if row["lossless"]}
    assert ours["bytes_per_frame"] < sizes["PNG"] / 10
    assert ours["bytes_per_frame"] < min(sizes.values())


@pytest.mark.nightly
def test_each_pixel_codec_is_measured_on_each_kind_of_frames() -> None:
    rows = run("pixel_codecs", "--clips", "2")["rows"]
    sizes = {(row["frames"], row["codec"]): row["bytes_per_frame"] for row in rows}
    assert len(sizes) == len(rows) == 5 * 6
    assert sizes["scripted", "bands"] < sizes["scripted", "XOR (version 1)"]
    assert sizes["photograph, scrolled", "gradient"] < sizes["photograph, scrolled", "bands"]
