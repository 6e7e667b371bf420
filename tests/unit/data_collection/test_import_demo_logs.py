"""The three recorded logs: what they must become was counted by hand from their lines."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from demo_log_samples import RECORDED, codes, load

from data_collection.action import Action, fold
from data_collection.events import ButtonChanged, Event, KeyChanged, PointerMoved, TextTyped
from data_collection.imports import ImportSourceMissing, UnknownFormat, importer_named
from data_collection.imports.demo_logs import DemoLogs
from data_collection.storage.store import TraceStore
from data_collection.streaming.clip_checks import check_clip
from data_collection.trace import Clip


def events_in(clips: list[Clip]) -> list[Event]:
    return [event for clip in clips for group in clip.events for event in group]


def test_the_clean_log(tmp_path: Path) -> None:
    report, traces = load(RECORDED / "session_1755302411_17.jsonl", tmp_path)
    (trace,) = report.traces
    # 9.040 s from the first frame to the last, both included: 1 + ceil(9.040 * 15).
    assert (trace.id, trace.frames, trace.events) == ("demo-1755302411-17-0", 137, 54)
    assert report.problems == ()
    clips = traces[trace.id]
    events = events_in(clips)
    kinds = Counter(event.type for event in events)
    # The reset and the consent; 26 lines move the pointer; 3 left and 1 right click; 6 keys
    # go down and up; "Ls /" is typed; one notch and, of the 53 pixels of the second turn,
    # more than half a notch.
    assert kinds == {
        "marker": 2,
        "pointer_moved": 26,
        "button_changed": 8,
        "key_changed": 12,
        "text_typed": 4,
        "wheel_turned": 2,
    }
    assert "".join(event.text for event in events if isinstance(event, TextTyped)) == "Ls /"
    keys = [(event.keysym, event.down) for event in events if isinstance(event, KeyChanged)]
    assert keys[:4] == [
        ("left shift", True),
        ("l", True),
        ("l", False),
        ("left shift", False),
    ]
    assert keys[-2:] == [("return", True), ("return", False)]
    assert [event.seq for event in events] == list(range(54))
    # 210.0, 171.33 is cut to whole pixels.
    presses = [e for e in events if isinstance(e, ButtonChanged) and e.down]
    places = [(event.button.value, event.x_px, event.y_px) for event in presses]
    assert places == [("left", 96, 58)] * 2 + [("left", 210, 171), ("right", 330, 240)]


def test_the_double_click_comes_in_quick_succession(tmp_path: Path) -> None:
    _, traces = load(RECORDED / "session_1755302411_17.jsonl", tmp_path)
    action, counts = Action(), []
    for clip in traces["demo-1755302411-17-0"]:
        for events in clip.events:
            action = fold(events, action)
            counts.append(action.clicks)
    assert [count for count in counts if count] == [1, 2, 1]


def test_events_lie_where_their_inputs_were(tmp_path: Path) -> None:
    _, traces = load(RECORDED / "session_1755302411_17.jsonl", tmp_path)
    clips = traces["demo-1755302411-17-0"]
    due = [t for clip in clips for t in clip.t_mono_ns]
    steps = {after - before for before, after in pairwise(due)}
    assert steps == {round(1e9 / 15)}
    groups = [group for clip in clips for group in clip.events]
    for index, group in enumerate(groups[1:], start=1):
        for event in group:
            assert due[index - 1] < event.t_mono_ns <= due[index]
    # Line 11, the first click: its frame was ready 0.9863 s after the first line's, the one
    # before 0.8815 s; the input lies between. The trace's clock stands at 1 s at the first.
    (press, *_) = [e for e in events_in(clips) if isinstance(e, ButtonChanged)]
    assert 1.8814e9 <= press.t_mono_ns <= 1.9863e9


def test_resets_auto_repeat_and_stuck_keys(tmp_path: Path) -> None:
    report, traces = load(RECORDED / "session_1755303902_18.jsonl", tmp_path)
    found = [
        (trace.id.removeprefix("demo-1755303902-18-"), trace.frames) for trace in report.traces
    ]
    # Between the second reset and the third there is nothing.
    assert found == [("0", 54), ("1", 13), ("3", 48)]
    assert [trace.events for trace in report.traces] == [18, 13, 16]
    assert codes(report) == [
        (7, "auto_repeat"),
        (8, "auto_repeat"),
        (20, "stuck_key"),
        (20, "stuck_key"),
        (21, "uncertain_segment"),
        (22, "release_without_press"),
        (26, "renamed_key"),
        (33, "empty_segment"),
        (34, "uncertain_segment"),
        (48, "stuck_key"),
    ]
    for clips in traces.values():
        down = Counter[int]()
        for event in events_in(clips):
            if isinstance(event, KeyChanged):
                down[event.scancode] += 1 if event.down else -1
                assert down[event.scancode] in (0, 1)
        assert not any(down.values())
    keys = [
        e.keysym for e in events_in(traces["demo-1755303902-18-3"]) if isinstance(e, KeyChanged)
    ]
    assert keys == ["left ctrl", "c", "c", "left ctrl", "f5", "f5"]
    # Control+c types nothing; "!" does, though its key came up as "1".
    texts = [[e.text for e in events_in(c) if isinstance(e, TextTyped)] for c in traces.values()]
    assert texts == [[], ["!"], []]


def test_the_malformed_log(tmp_path: Path) -> None:
    report, traces = load(RECORDED / "session_1755305555_19.jsonl", tmp_path)
    assert [(trace.frames, trace.events) for trace in report.traces] == [(23, 21), (4, 5)]
    assert codes(report) == [
        (4, "out_of_range"),
        (5, "out_of_range"),
        (6, "out_of_range"),
        (7, "null_coordinates"),
        (8, "unknown_key"),
        (9, "unknown_key"),
        (9, "unknown_key"),
        (9, "unknown_key"),
        (10, "unknown_key"),
        (10, "unknown_key"),
        (11, "time_back"),
        (13, "time_equal"),
        (14, "time_back"),
        (19, "stuck_key"),
        (20, "uncertain_segment"),
        (22, "no_end"),
        (23, "torn_line"),
    ]
    assert all(problem.hint for problem in report.problems)
    moves = [e for e in events_in(traces["demo-1755305555-19-0"]) if isinstance(e, PointerMoved)]
    places = [(event.x_px, event.y_px) for event in moves]
    assert places[:7] == [
        (242, 182),
        (215, 161),
        (200, 150),
        (0, 383),
        (511, 383),
        (511, 0),
        (220, 160),
    ]
    # The click of the torn line never happened.
    presses = [e for e in events_in(traces["demo-1755305555-19-1"]) if isinstance(e, ButtonChanged)]
    assert presses == []


def test_traces_without_pictures_are_black_and_never_learnt_from(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path)
    told: list[tuple[int, int]] = []
    report = DemoLogs().load(RECORDED, store, progress=lambda *at: told.append(at))
    size = sum(path.stat().st_size for path in RECORDED.glob("*.jsonl"))
    assert told[-1] == (size, size)
    assert len(report.traces) == 6
    for trace in report.traces:
        assert trace.frame_source == "missing"
        header = store.header(trace.id)
        assert header is not None
        for row in store.index.trace_rows(trace.id):
            assert row.weight == 0
    store.close()
    _, traces = load(RECORDED, tmp_path / "again")
    for trace_id, clips in traces.items():
        assert not any(np.any(clip.frames) for clip in clips)
        store = TraceStore.open(tmp_path)
        header = store.header(trace_id)
        assert header is not None
        # What a server would say of them as well.
        assert [check_clip(clip, header) for clip in clips] == [None] * len(clips)
        store.close()


def test_a_second_import_changes_nothing(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path)
    first = DemoLogs().load(RECORDED, store)
    commits = store.index.last_commit
    second = DemoLogs().load(RECORDED, store)
    assert store.index.last_commit == commits
    assert second.problems == first.problems
    assert [trace.id for trace in second.traces] == [trace.id for trace in first.traces]
    assert {trace.new for trace in first.traces} == {True}
    assert {trace.new for trace in second.traces} == {False}
    store.withdraw("demo-1755302411-17-0")
    third = DemoLogs().load(RECORDED, store)
    assert (1, "withdrawn_trace") in codes(third)
    store.close()


def test_nothing_to_import_is_said(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path / "store")
    with pytest.raises(ImportSourceMissing):
        DemoLogs().load(tmp_path, store)
    store.close()
    with pytest.raises(UnknownFormat, match="did you mean 'demo-logs'"):
        importer_named("demo")
