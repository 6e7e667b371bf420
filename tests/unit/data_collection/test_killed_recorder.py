"""A recorder killed at any moment loses the open second, and what it kept is what was seen."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.storage.codec import decode_clip
from data_collection.storage.store import TraceStore, read_clip
from data_collection.streaming.spool import Spool
from data_collection.trace import FPS, Clip

HERE = Path(__file__).parent


def record_and_kill(kind: str, folder: Path, after_frames: int) -> tuple[int, int]:
    """Kill a recorder when it says that it has so many frames; return its last words."""
    command = [sys.executable, str(HERE / "killed_recorder.py"), kind, str(folder)]
    paths = os.pathsep.join((str(HERE.parents[2]), str(HERE)))
    env = {**os.environ, "SDL_VIDEODRIVER": "dummy", "PYTHONPATH": paths}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as recorder:
        assert recorder.stdout is not None
        lines = []
        for line in recorder.stdout:
            if line.split()[0].isdecimal():
                lines.append(line)
            if len(lines) > after_frames:
                break
        recorder.kill()
        lines += recorder.stdout.read().splitlines()
    whole = [line for line in lines if len(line.split()) == 2]
    frames, in_memory = whole[-1].split()
    return int(frames), int(in_memory)


def kept_clips(kind: str, folder: Path) -> list[Clip]:
    if kind == "spool":
        pending = Spool.open(folder).pending()
        return [decode_clip(clip.path.read_bytes()) for clip in pending]
    store = TraceStore.open(folder)
    try:
        return [read_clip(folder, row) for row in store.index.rows_after(0, 10_000)]
    finally:
        store.close()


def check(kind: str, folder: Path, after_frames: int) -> None:
    frames, in_memory = record_and_kill(kind, folder, after_frames)
    clips = kept_clips(kind, folder)
    assert [clip.seq for clip in clips] == list(range(len(clips)))
    kept = sum(len(clip.frames) for clip in clips)
    # The open second, and each closed one that was being written when it last spoke.
    assert frames - kept <= FPS + in_memory * FPS
    assert in_memory <= 2
    desktop = ScriptedDesktop()
    desktop.reset(3)
    for clip in clips:
        for frame, group in zip(clip.frames, clip.events, strict=True):
            np.testing.assert_array_equal(desktop.step(group), frame)


@pytest.mark.parametrize(("kind", "moment"), [("spool", 52), ("store", 38)])
def test_a_killed_recorder_loses_the_open_second(kind: str, moment: int, tmp_path: Path) -> None:
    check(kind, tmp_path / "kept", moment)


@pytest.mark.nightly
def test_at_fifty_moments(tmp_path: Path) -> None:
    rng = random.Random(7)
    for number in range(50):
        kind = ("spool", "store")[number % 2]
        check(kind, tmp_path / str(number), rng.randrange(1, 400))
