"""What the recorded logs do not show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from demo_log_samples import SESSION, START_S, codes, line, load, marker, write_log
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from data_collection.events import KeyChanged, PointerMoved, TextTyped, WheelTurned
from data_collection.imports.browser_keys import KEYS
from data_collection.imports.demo_logs import DemoLogs
from data_collection.storage.store import TraceStore, read_clip

TRACE = f"demo-{SESSION.replace('_', '-')}"


def test_pictures_become_frames_of_the_simulator(tmp_path: Path) -> None:
    ready = (0.0, 0.1, 0.19, 0.3)
    lines = [line(t, x=10 * index, is_left_click=index == 2) for index, t in enumerate(ready)]
    path = write_log(tmp_path / "logs", *lines, marker(1.0, end=True))
    folder = tmp_path / "logs" / f"frames_{SESSION}"
    folder.mkdir()
    for index, t in enumerate(ready):
        if index != 1:
            size = (512, 384) if index != 3 else (64, 48)
            Image.new("RGB", size, (50 * (index + 1), 0, 9)).save(folder / f"{START_S + t:.6f}.png")
    report, traces = load(path, tmp_path / "store")
    assert codes(report) == [(2, "no_picture"), (4, "bad_picture")]
    assert [trace.frame_source for trace in report.traces] == ["simulator"]
    (clip,) = traces[f"{TRACE}-0"]
    # Frames are due at 0, 67, 133, 200, 267 and 333 ms; the third picture is ready at 190 ms.
    assert [int(frame[0, 0, 0]) for frame in clip.frames] == [50, 50, 50, 150, 150, 150]
    assert all(np.all(frame == frame[0, 0]) for frame in clip.frames)
    # The action stands at the frame that first shows what it led to.
    assert [len(group) for group in clip.events] == [3, 0, 1, 3, 0, 1]


def test_a_frame_that_was_in_flight_at_a_reset_belongs_before_it(tmp_path: Path) -> None:
    path = write_log(
        tmp_path / "logs",
        line(0.0, x=1),
        line(0.1, x=2),
        marker(0.15, end=False),
        line(0.17, x=3),
        line(0.27, x=4),
        marker(1.0, end=True),
    )
    report, traces = load(path, tmp_path / "store")
    assert codes(report) == [(4, "before_reset")]
    moves = {
        trace.removeprefix(TRACE): [
            event.x_px
            for clip in clips
            for group in clip.events
            for event in group
            if isinstance(event, PointerMoved)
        ]
        for trace, clips in traces.items()
    }
    assert moves == {"-0": [1, 2, 3], "-1": [4]}


def test_keys_are_pressed_as_a_us_keyboard_needs_it(tmp_path: Path) -> None:
    path = write_log(
        tmp_path / "logs",
        line(0.0),
        line(0.1, keys_down=["A"]),
        line(0.2, keys_down=["A"]),
        line(0.3, keys_up=["a"]),
        line(0.4, keys_down=["b"], keys_up=["b"]),
        marker(1.0, end=True),
    )
    report, traces = load(path, tmp_path / "store")
    assert codes(report) == [(2, "shift_unseen"), (3, "auto_repeat"), (4, "renamed_key")]
    events = [e for clip in traces[f"{TRACE}-0"] for group in clip.events for e in group]
    keys = [(e.keysym, e.down) for e in events if isinstance(e, KeyChanged)]
    assert keys == [
        ("left shift", True),
        ("a", True),
        ("a", False),
        ("left shift", False),
        ("b", True),
        ("b", False),
    ]
    # A repeated key types again, as in any window system.
    assert [e.text for e in events if isinstance(e, TextTyped)] == ["A", "A", "b"]


def test_a_turning_wheel_counts_whole_notches(tmp_path: Path) -> None:
    deltas = (4, 4, 60, -100, -1e9, float("nan"))
    lines = [line(0.1 * i, wheel_delta_y=delta) for i, delta in enumerate(deltas)]
    path = write_log(tmp_path / "logs", *lines, marker(1.0, end=True))
    report, traces = load(path, tmp_path / "store")
    assert codes(report) == [(5, "out_of_range")]
    events = [e for clip in traces[f"{TRACE}-0"] for group in clip.events for e in group]
    # 4 + 4 + 60 pixels are one notch down and take 32 in advance, which the next turn gives back.
    assert [e.dy for e in events if isinstance(e, WheelTurned)] == [-1, 1, 100]


def test_times_that_jump_are_mended(tmp_path: Path) -> None:
    path = write_log(
        tmp_path / "logs",
        line(0.0, x=1),
        line(86400.0, x=2),
        line(86400.1, x=3),
        line(0.0, x=4),
        marker(1.0, end=True),
    )
    report, traces = load(path, tmp_path / "store")
    assert codes(report) == [(2, "long_gap"), (4, "time_back")]
    frames = sum(len(clip.frames) for clip in traces[f"{TRACE}-0"])
    # 10 s instead of a day, 0.1 s, and a period instead of a day back.
    assert frames == 1 + 153


def test_a_log_that_has_grown_adds_its_new_seconds(tmp_path: Path) -> None:
    first = [line(0.1 * index, x=index) for index in range(11)]
    path = write_log(tmp_path / "logs", *first)
    store = TraceStore.open(tmp_path / "store")
    DemoLogs().load(path, store)
    assert len(store.index.trace_rows(f"{TRACE}-0")) == 2
    more = [line(0.1 * index, x=index) for index in range(11, 40)]
    report = DemoLogs().load(write_log(tmp_path / "logs", *first, *more), store)
    # The second clip ended with the log then, and a clip never changes.
    assert (1, "different_clip") in codes(report)
    assert len(store.index.trace_rows(f"{TRACE}-0")) == 2
    assert store.verify() == []
    store.close()


def test_lines_that_are_none_are_named_and_left_out(tmp_path: Path) -> None:
    other = {**line(0.1), "session_id": "1700000000_2"}
    path = write_log(
        tmp_path / "logs",
        line(0.0),
        "{not json}",
        "[1, 2]",
        json.dumps({**line(0.1), "timestamp": "soon"}),
        json.dumps({**line(0.1), "inputs": None}),
        other,
        "",
        "{" + " " * (1 << 20) + "}",
        line(0.2, x=10**400),
        marker(0.3, end=True),
        line(0.9),
    )
    report, _ = load(path, tmp_path / "store")
    assert [code for _, code in codes(report)] == [
        "bad_json",
        "bad_line",
        "bad_line",
        "bad_line",
        "other_session",
        "long_line",
        "bad_line",
        "after_end",
        "no_end",
    ]
    (tmp_path / "logs" / "session_.jsonl").write_text("{}\n")
    stray, _ = load(tmp_path / "logs" / "session_.jsonl", tmp_path / "other")
    assert (stray.traces, codes(stray)) == ((), [(0, "file_name")])


_NAMES = st.sampled_from([*KEYS, "Dead", "é", ""]) | st.text(max_size=3)
_NUMBERS = st.none() | st.floats() | st.integers(-600, 600)
_INPUTS = st.fixed_dictionaries(
    {},
    optional={
        "x": _NUMBERS,
        "y": _NUMBERS,
        "is_left_click": st.booleans(),
        "keys_down": st.lists(_NAMES, max_size=3),
        "keys_up": st.lists(_NAMES, max_size=3),
        "wheel_delta_y": _NUMBERS,
    },
)
_LINES = st.one_of(
    st.builds(line, st.floats(0, 3)).flatmap(
        lambda whole: _INPUTS.map(lambda inputs: {**whole, "inputs": inputs})
    ),
    st.builds(marker, st.floats(0, 3), end=st.booleans()),
    st.text(max_size=20).filter(lambda text: "\n" not in text and "\r" not in text),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=st.lists(_LINES, max_size=12))
def test_any_log_gives_traces_that_keep_the_rules(
    lines: list[object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = write_log(folder, *lines)  # type: ignore[arg-type]
    store = TraceStore.open(folder / "store")
    report = DemoLogs().load(path, store)
    assert store.verify() == []
    for trace in report.traces:
        held: set[int] = set()
        next_frame = 0
        last_ns = 0
        for row in store.index.trace_rows(trace.id):
            clip = read_clip(store.root, row)
            assert clip.first_frame == next_frame
            next_frame += len(clip.frames)
            for event in (event for group in clip.events for event in group):
                assert event.t_mono_ns >= last_ns
                last_ns = event.t_mono_ns
                if isinstance(event, PointerMoved):
                    assert event.x_px in range(512)
                    assert event.y_px in range(384)
                if isinstance(event, KeyChanged):
                    assert event.down != (event.scancode in held)
                    (held.add if event.down else held.discard)(event.scancode)
        assert not held
    store.close()
