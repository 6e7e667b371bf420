"""A tiny store of scripted traces, and a simulator small enough to train in a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.recording.collect import collect, synthetic_header
from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.trace import ClipRow
from data_collection.users import make_user

MICRO = """
[simulator]
components = 12
sampler_steps = 1

[simulator.rnn]
overview = 8
entry = 8
lstm = 8
exit = 8
spatial = 4
look = 4
cursor = 4
stem = 4
map = 4
keys = 4
context = 4

[simulator.denoiser]
widths = [16, 16]
look = 4
cursor = 4

[simulator.collage]
looks = 64
look_width = 4
look_hidden = 4

[objective]
drawn_frames = 2

[lanes]
lanes = 2
frames = 4
segments = 2

[training]
first_clips = 4
fit_clips = 4

[evaluation]
warm_frames = 3
frames = 5
columns = 3
"""

MICRO_FAST = """
[simulator]
architecture = "fast"
components = 12
sampler_steps = 2

[simulator.fast]
autoencoder = "patches"
spill = 0

[simulator.fast.inputs]
table = 4
keys = 4
waves = 3

[simulator.fast.tracker]
glance = [8, 8]
hidden = 16
coarse = 16
context = 4

[simulator.fast.renderer]
widths = [16, 16]
layers = 1
attention = [false, true]
head_channels = 8
groups = 4

[lanes]
lanes = 2
frames = 4
segments = 2

[training]
first_clips = 4
fit_clips = 4
stages = ["fast_rnn", "fast", "distilled"]

[training.stage.fast_rnn]
steps = 1
frames = 4
segments = 2

[training.stage.fast]
steps = 2
frames = 4
segments = 2
denoised = 2
own_frames = 2
own_every = 1

[training.stage.distilled]
frames = 4
segments = 2
denoised = 2
"""


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ClipRow]]:
    """A run folder with two scripted traces and a live one, three clips each, and its rows."""
    run_dir = tmp_path_factory.mktemp("recorded")
    store = TraceStore.open(run_dir / "traces")
    rows = []
    for index, (source, user) in enumerate(
        (("base", "task"), ("base", "explorer"), ("live", "task"))
    ):
        desktop = ScriptedDesktop()
        header = synthetic_header(f"trace-{index}", desktop, seed=index, source=source, policy=user)
        store.open_trace(header)
        for clip in collect(desktop, make_user(user), header, clips=3):
            rows.append(store.append(header, EncodedClip.of(clip, encode_clip(clip)), 0.0).row)
    store.close()
    return run_dir, rows


@pytest.fixture
def micro_config(tmp_path: Path) -> Path:
    """A configuration file of the smallest simulator."""
    path = tmp_path / "micro.toml"
    path.write_text(MICRO, encoding="utf-8")
    return path


@pytest.fixture
def fast_config(tmp_path: Path) -> Path:
    """A configuration file of the smallest simulator of the architecture ``fast``."""
    path = tmp_path / "fast.toml"
    path.write_text(MICRO_FAST, encoding="utf-8")
    return path


@pytest.fixture
def make_rows() -> Callable[..., list[ClipRow]]:
    """Make rows of one trace that no file holds."""

    def make(trace_id: str, seqs: list[int], first_commit: int, **changes: object) -> list[ClipRow]:
        fields: dict[str, object] = {
            "source": "base",
            "file": "",
            "offset": 0,
            "length": 0,
            "body_sha": "",
            "content_sha": "",
            "frames": 15,
            "weight": 1,
            "frame_source": "real",
            "policy": "",
            "captured_wall_s": 0.0,
            "acknowledged_wall_s": 0.0,
        }
        fields.update(changes)
        return [
            ClipRow(
                commit=first_commit + index,
                trace_id=trace_id,
                seq=seq,
                first_frame=15 * seq,
                **fields,  # type: ignore[arg-type]
            )
            for index, seq in enumerate(seqs)
        ]

    return make
