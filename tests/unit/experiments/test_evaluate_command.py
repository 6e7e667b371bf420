"""``neuralos evaluate``: its object, its page, and what it refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.recording.collect import collect, synthetic_header
from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.users import make_user
from experiments.cli import cli
from experiments.console import Status, run_cli
from neuralos.build import build_simulator
from neuralos.models.config import DenoiserConfig, RnnConfig, SimulatorConfig
from neuralos.weights import save_simulator

MEASURE_KEYS = {"model", "copy_last", "ceiling", "majority", "n", "ci95"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    rnn = RnnConfig(8, 8, 8, 8, 4, 24, 4, 4, 4, 4, 4, 4)
    config = SimulatorConfig(components=24, rnn=rnn, denoiser=DenoiserConfig((16, 16), 1, 4, 4))
    simulator = build_simulator(config, 0)
    frames = np.random.default_rng(0).integers(0, 256, (40, 96, 128, 3), dtype=np.uint8)
    simulator.autoencoder.fit(frames)  # type: ignore[operator]
    save_simulator(folder, simulator, {}, 7)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace of 6 s, and a replay of it."""
    root = tmp_path_factory.mktemp("store")
    opened = TraceStore.open(root)
    desktop = ScriptedDesktop()
    header = synthetic_header("drawn", desktop, seed=3, source="base", policy="task")
    clips = list(collect(desktop, make_user("task"), header, 6))
    for one in (header, replace(header, trace_id="drawn-again", origin="drawn")):
        opened.open_trace(one)
        for clip in clips:
            mine = replace(clip, trace_id=one.trace_id)
            opened.append(one, EncodedClip.of(mine, encode_clip(mine)), 0.0)
    opened.close()
    return root


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    status = run_cli(cli, ["evaluate", *(str(word) for word in arguments), "--json"])
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert isinstance(found, dict)
    return status, found


def test_traces_are_measured_beside_their_replay(
    checkpoint: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    status, found = run(capsys, checkpoint, "--traces", store, "--html", page)
    assert status == Status.OK
    assert found["schema"] == "neuralos.evaluate/1"
    assert (found["step"], found["replay_floor"], found["majority"]) == (7, "measured", None)
    for measure in found["measures"].values():
        assert set(measure) >= MEASURE_KEYS
    quality = found["measures"]["psnr"]
    assert quality["replay_floor"] > quality["ceiling"] > 0
    assert found["measures"]["cursor_within_2px"]["replay_floor"] == 1
    assert found["transitions"]["change"]["replay_floor"] == 1

    text = page.read_text("utf-8")
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!data:image/png;base64,)', text)
    assert text.count("<img") >= 5


def test_a_look_at_the_suite_says_what_it_is(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorten(monkeypatch)
    page = tmp_path / "page.html"
    arguments = (checkpoint, "--quick", 1, "--cache", tmp_path / "cache", "--html", page)
    status, found = run(capsys, *arguments)
    assert status == Status.OK
    assert found["suite"] == "basic-v1, 1 of each group"
    assert found["measures"]["tasks"]["ceiling"] is not None
    assert found["measures"]["transitions"]["majority"] == found["majority"]["share"]
    assert "Task: drag" in page.read_text("utf-8")
    assert list((tmp_path / "cache").rglob("*.passage"))


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a drag and the first half minute of a passage of the suite."""
    from experiments.evaluating import running
    from neuralos.evaluation.suite import Suite, load_suite

    def few(name: str) -> Suite:
        suite = load_suite(name)
        kept = [one for one in suite.episodes if one.id in ("general-03", "drag-00")]
        return replace(suite, episodes=tuple(kept))

    monkeypatch.setattr(running, "load_suite", few)


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("--suite", "basic-v9"), Status.USAGE, "unknown_suite"),
        (("--quick", "1", "--traces", "."), Status.USAGE, "usage"),
        (("--traces", "{empty}"), Status.USAGE, "no_store"),
    ],
)
def test_what_cannot_be_done_is_refused(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: Status,
    code: str,
) -> None:
    words = [word.format(empty=tmp_path) for word in arguments]
    found_status, found = run(capsys, checkpoint, *words)
    assert (found_status, found["error"]["code"]) == (status, code)


def test_a_folder_without_a_simulator_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = run(capsys, tmp_path)
    assert (status, found["error"]["code"]) == (Status.USAGE, "no_checkpoint")


def test_a_damaged_checkpoint_is_named(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "simulator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    status, found = run(capsys, tmp_path)
    assert (status, found["error"]["code"]) == (Status.CHECK_FAILED, "checkpoint_damaged")


def test_traces_that_are_too_short_are_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = TraceStore.open(tmp_path / "short")
    desktop = ScriptedDesktop()
    header = synthetic_header("short", desktop, seed=1, source="base", policy="task")
    store.open_trace(header)
    for clip in collect(desktop, make_user("task"), header, 2):
        store.append(header, EncodedClip.of(clip, encode_clip(clip)), 0.0)
    store.close()
    status, found = run(capsys, checkpoint, "--traces", tmp_path / "short")
    assert (status, found["error"]["code"]) == (Status.REFUSED, "nothing_to_evaluate")
    assert "80 frames" in found["error"]["hint"]
