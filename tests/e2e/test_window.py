"""A real window on a real display, driven by xdotool as a person's hand would."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.events import Button, ButtonChanged, Event, PointerMoved
from data_collection.storage.store import TraceStore, read_clip
from data_collection.trace import Clip, ClipRow
from experiments.summary import newest_checkpoint, read_rows
from interactive.record.run_folder import RunFolder
from neuralos.data.mixture import BASE_SOURCE
from tests.e2e.harness import MICRO, neuralos, running, status, steps, until
from tests.e2e.screen import Hand, display

needs = pytest.mark.needs("Xvfb", "xdotool", "openbox")


WALLPAPER = (300, 340)
"""A place without icon or window, where a right click opens the menu."""


def places() -> tuple[tuple[int, int], tuple[int, int]]:
    """Return where the browser's icon is, and where the menu's item to create a folder."""
    desktop = ScriptedDesktop()
    icon = next(one for one in desktop.state()["icons"] if one["app"] == "Browser")
    press = ButtonChanged(Button.RIGHT, True, *WALLPAPER)
    desktop.step([press])
    items = desktop.state()["menu"]["items"]
    item = next(one for one in items if one["label"] == "Create folder")
    return middle(icon["rect"]), middle(item["rect"])


def middle(rect: list[int]) -> tuple[int, int]:
    x_px, y_px, width_px, height_px = rect
    return x_px + width_px // 2, y_px + height_px // 2


def use_the_desktop(hand: Hand) -> list[tuple[int, int]]:
    """Open the browser and create a folder; return where the pointer was pressed."""
    browser, create_folder = places()
    hand.key("Return")
    time.sleep(0.5)
    hand.move(300, 200)
    hand.move(*browser)
    hand.click(times=2)
    time.sleep(4.5)
    hand.move(*WALLPAPER)
    hand.click(button=3)
    time.sleep(0.3)
    hand.move(*create_folder)
    hand.click()
    time.sleep(2.5)
    return [browser, browser, WALLPAPER, create_folder]


def live_trace(run: Path) -> list[Clip]:
    """Return the clips of the window's first trace, in order; no server may run."""
    root = RunFolder(run).traces
    store = TraceStore.open(root)
    try:
        rows = store.index.rows_after(0, store.index.last_commit)
    finally:
        store.close()
    real = [row for row in rows if row.source != BASE_SOURCE and row.frame_source == "real"]
    first = real[0].trace_id
    return [read_clip(root, row) for row in real if row.trace_id == first]


def check_trace(run: Path, pressed: list[tuple[int, int]]) -> None:
    """The trace holds what the hand did, where it did it, and what came of it."""
    clips = live_trace(run)
    events: list[Event] = [event for clip in clips for group in clip.events for event in group]
    presses = [
        (event.x_px, event.y_px)
        for event in events
        if isinstance(event, ButtonChanged) and event.down
    ]
    assert presses == pressed
    moved = [(event.x_px, event.y_px) for event in events if isinstance(event, PointerMoved)]
    assert (300, 200) in moved
    state: dict[str, Any] = clips[-1].state
    assert [window["app"] for window in state["windows"]] == ["Browser"]
    assert len(state["folders"]) == 1


def check_used(run: Path) -> None:
    """Some step learned from each clip of the window but perhaps the last ones."""
    used = {commit for step in steps(run) for commit in step.commits}
    root = RunFolder(run).traces
    store = TraceStore.open(root)
    try:
        rows = store.index.rows_after(0, store.index.last_commit)
    finally:
        store.close()
    live = [row.commit for row in rows if row.source != BASE_SOURCE and row.weight > 0]
    assert live
    assert set(live[:-2]) <= used


def wait_until_used(run: Path) -> None:
    """Wait until the training has learned from the clips that have come."""
    clips = status(run)["clips"]["live"]
    until(lambda: status(run)["mark"] >= clips, "the mark")
    more = len(steps(run)) + 8
    until(lambda: len(steps(run)) >= more, "a few more steps")


@needs
def test_what_a_person_does_in_the_window_becomes_training_data(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with display() as name:
        live = ["live", "--seed", "1", "--run", run, "--json", *MICRO]
        with running(*live, env={"DISPLAY": name}) as loop:
            pid = until(
                lambda: (run / "run.json").exists() and status(run)["pids"]["window"], "the window"
            )
            hand = Hand.on(name, pid)
            until(lambda: len(steps(run)) >= 3, "the training")
            pressed = use_the_desktop(hand)
            wait_until_used(run)
            until(lambda: newest_checkpoint(run), "a checkpoint")
            hand.host_key("F6")
            until(lambda: simulated(run), "a clip of the simulator")
            done = loop.end()
    assert done.status == 130, done.stderr
    assert done.json["clips"]["quarantined"] == 0
    check_trace(run, pressed)
    check_used(run)
    check_simulated(run)
    check_relabelled(run)


def simulated(run: Path) -> list[ClipRow]:
    """Return the clips whose frames the simulator drew, as far as the trainer knows them."""
    rows = read_rows(RunFolder(run).data)
    return [row for row in rows if row.frame_source == "simulator"]


def check_simulated(run: Path) -> None:
    """Frames of the simulator are recorded as such, and nothing learns from them."""
    used = {commit for step in steps(run) for commit in step.commits}
    rows = simulated(run)
    assert {row.weight for row in rows} == {0}
    assert used.isdisjoint(row.commit for row in rows)
    clip = read_clip(RunFolder(run).traces, rows[0])
    assert clip.frames.shape[1:] == (384, 512, 3)
    assert clip.frames.std() > 10, "the simulator shows more than one colour"


def check_relabelled(run: Path) -> None:
    """What was done at the simulator is replayed on a real desktop, from the last reset on."""
    session = simulated(run)[0].trace_id
    done = neuralos("traces", "relabel", run, session, "--json")
    assert done.status == 0, done.stdout
    (replay,) = done.json["traces"]
    assert (replay["origin"], replay["made"]) == (session, True)
    root = RunFolder(run).traces
    store = TraceStore.open(root)
    try:
        rows = store.index.trace_rows(replay["id"])
        header = store.header(session)
    finally:
        store.close()
    assert header is not None
    assert header.follows == live_trace(run)[0].trace_id
    # The real desktop went on from where the hand had left it.
    first = read_clip(root, rows[0])
    last = live_trace(run)[-1]
    assert [window["app"] for window in first.state["windows"]] == ["Browser"]
    assert first.state["folders"] == last.state["folders"]
    assert (first.frames[0] != last.frames[-1]).mean() < 0.01


@needs
def test_a_window_elsewhere_feeds_a_training_started_separately(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with display() as name, running("train", "--run", run, "--json", *MICRO) as training:
        until(lambda: (run / "run.json").exists() and len(steps(run)) >= 3, "the training")
        url = status(run)["url"]
        record = ["record", "--server", url, "--token-file", run / "tokens.json"]
        record += ["--spool", tmp_path / "spool", "--json"]
        with running(*record, env={"DISPLAY": name}) as window:
            pressed = use_the_desktop(Hand.on(name, window.process.pid))
            recorded = window.end()
        assert recorded.status == 130, recorded.stderr
        assert recorded.json["waiting"] == recorded.json["quarantined"] == 0
        assert recorded.json["acknowledged"] == recorded.json["clips"] > 0
        wait_until_used(run)
        done = training.end()
    assert done.status == 130, done.stderr
    assert Path(done.json["checkpoint"]).is_dir()
    check_trace(run, pressed)
    check_used(run)
