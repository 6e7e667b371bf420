"""What a person may rely on when using the scripted desktop."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from data_collection.desktops.scripted import ScriptedConfig, ScriptedDesktop
from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    PointerMoved,
)

HOME, BROWSER, TRASH = (48, 32), (48, 112), (48, 192)
WALLPAPER = (400, 300)


def press(point: tuple[int, int], button: Button = Button.LEFT) -> list[Event]:
    return [ButtonChanged(button, True, *point), ButtonChanged(button, False, *point)]


def double_click(desktop: ScriptedDesktop, point: tuple[int, int], gap_ticks: int = 2) -> None:
    desktop.step(press(point))
    for _ in range(gap_ticks - 1):
        desktop.step([])
    desktop.step(press(point))


def titles(desktop: ScriptedDesktop) -> list[str]:
    return [window["title"] for window in desktop.state()["windows"]]


def middle(rect: list[int]) -> tuple[int, int]:
    return rect[0] + rect[2] // 2, rect[1] + rect[3] // 2


def create_folder(desktop: ScriptedDesktop, point: tuple[int, int] = WALLPAPER) -> None:
    desktop.step(press(point, Button.RIGHT))
    items = {item["label"]: item["rect"] for item in desktop.state()["menu"]["items"]}
    desktop.step(press(middle(items["Create folder"])))


def busy_events(seed: int, ticks: int) -> list[list[Event]]:
    """Random presses and moves, with the icons among their targets."""
    rng = np.random.Generator(np.random.Philox(seed))
    events: list[list[Event]] = []
    for _ in range(ticks):
        point = (int(rng.integers(512)), int(rng.integers(384)))
        if rng.random() < 0.3:
            point = (HOME, BROWSER, TRASH)[int(rng.integers(3))]
        group: list[Event] = [PointerMoved(*point)]
        if rng.random() < 0.6:
            group += press(point) * 2
        elif rng.random() < 0.2:
            group += press(point, Button.RIGHT)
        events.append(group)
    return events


def digest(desktop: ScriptedDesktop, seed: int, events: list[list[Event]]) -> str:
    sha = hashlib.sha256(desktop.reset(seed).tobytes())
    for group in events:
        sha.update(desktop.step(group).tobytes())
    return sha.hexdigest()


def test_same_seed_and_events_give_the_same_pixels() -> None:
    events = busy_events(3, 300)
    desktop = ScriptedDesktop()
    first = digest(desktop, 5, events)
    assert desktop.state()["windows"], "the events must do something"
    assert digest(desktop, 5, events) == first
    assert digest(ScriptedDesktop(), 5, events) == first
    assert digest(ScriptedDesktop(), 6, events) != first


def test_the_pixels_are_the_recorded_ones() -> None:
    """Recorded traces rest on these pixels: change them only on purpose."""
    desktop = ScriptedDesktop(ScriptedConfig(launch_frames=2))
    sha = hashlib.sha256(desktop.reset(0).tobytes())
    script = [press(HOME), press(HOME), press(BROWSER), press(BROWSER), [], [], []]
    script += [press(WALLPAPER, Button.RIGHT), press(WALLPAPER), [PointerMoved(440, 340)]]
    script += [press((440, 340), Button.RIGHT)]
    for group in script:
        sha.update(desktop.step(group).tobytes())
    assert sha.hexdigest() == "148b4cf047a7bc2b35045591dafc3d0c53d953a87de5aae9e4c603faece03aa3"


def test_pixels_do_not_depend_on_event_times() -> None:
    events = busy_events(4, 100)
    late = [[replace(e, t_mono_ns=10**9 * i, seq=i) for e in g] for i, g in enumerate(events)]
    assert digest(ScriptedDesktop(), 1, events) == digest(ScriptedDesktop(), 1, late)


def test_two_desktops_side_by_side_do_not_disturb_each_other() -> None:
    events, others = busy_events(7, 120), busy_events(8, 120)
    alone = ScriptedDesktop()
    alone.reset(2)
    wanted = [alone.step(group) for group in events]
    one, two = ScriptedDesktop(), ScriptedDesktop(ScriptedConfig(640, 480))
    one.reset(2)
    two.reset(9)
    for group, other, frame in zip(events, others, wanted, strict=True):
        two.step(other)
        assert np.array_equal(one.step(group), frame)


def test_frames_are_never_written_to_again() -> None:
    desktop = ScriptedDesktop()
    frames = [desktop.reset(0)]
    frames += [desktop.step(group) for group in busy_events(5, 60)]
    copies = [frame.copy() for frame in frames]
    for group in busy_events(6, 60):
        desktop.step(group)
    assert all(np.array_equal(a, b) for a, b in zip(frames, copies, strict=True))
    with pytest.raises(ValueError):
        frames[0][0, 0] = 0


@pytest.mark.parametrize("size", [(512, 384), (256, 192), (128, 96), (800, 601)])
def test_any_size_on_request(size: tuple[int, int]) -> None:
    desktop = ScriptedDesktop(ScriptedConfig(*size))
    frame = desktop.reset(0)
    assert frame.shape == (size[1], size[0], 3)
    assert frame.dtype == np.uint8
    double_click(desktop, middle(desktop.state()["icons"][0]["rect"]))
    x_px, y_px, width_px, height_px = desktop.state()["windows"][0]["rect"]
    assert x_px >= 0
    assert y_px >= 0
    assert x_px + width_px <= size[0]
    assert y_px + height_px < size[1]


def test_config_names_the_nearest_app() -> None:
    with pytest.raises(ValueError, match="did you mean 'Browser'"):
        ScriptedConfig(icons=("Home", "Browzer"))
    with pytest.raises(ValueError, match="too small"):
        ScriptedConfig(width_px=120, height_px=96)


@pytest.mark.parametrize(("gap_ticks", "opens"), [(1, True), (6, True), (7, False)])
def test_a_double_click_must_be_quick(gap_ticks: int, opens: bool) -> None:
    desktop = ScriptedDesktop(ScriptedConfig(double_click_ticks=6))
    double_click(desktop, HOME, gap_ticks)
    assert titles(desktop) == (["Home"] if opens else [])


def test_a_double_click_needs_twice_the_same_icon() -> None:
    desktop = ScriptedDesktop()
    for point in (HOME, TRASH, WALLPAPER, TRASH):
        desktop.step(press(point))
    assert titles(desktop) == []
    desktop.step(press(TRASH))
    assert titles(desktop) == ["Trash"]


def test_opening_an_open_window_raises_it() -> None:
    desktop = ScriptedDesktop()
    double_click(desktop, HOME)
    double_click(desktop, TRASH)
    double_click(desktop, HOME)
    assert titles(desktop) == ["Trash", "Home"]


@pytest.mark.parametrize("launch_frames", [40, 3])
def test_the_browser_comes_after_launch_frames_and_a_busy_cursor(launch_frames: int) -> None:
    desktop = ScriptedDesktop(ScriptedConfig(launch_frames=launch_frames))
    desktop.step(press(BROWSER))
    idle = desktop.step([])
    waiting = desktop.step(press(BROWSER))
    for ticks_left in range(launch_frames, 0, -1):
        state = desktop.state()
        assert state["cursor"]["shape"] == "busy"
        assert state["launching"] == {"app": "Browser", "ticks_left": ticks_left}
        assert titles(desktop) == []
        area = (slice(BROWSER[1], BROWSER[1] + 20), slice(BROWSER[0], BROWSER[0] + 16))
        assert not np.array_equal(waiting[area], idle[area])
        shown = desktop.step([])
    assert titles(desktop) == ["Browser"]
    assert desktop.state()["cursor"]["shape"] == "arrow"
    assert desktop.state()["launching"] is None
    assert not np.array_equal(shown, waiting)


def test_a_browser_under_way_is_launched_once() -> None:
    desktop = ScriptedDesktop(ScriptedConfig(launch_frames=10))
    double_click(desktop, BROWSER)
    double_click(desktop, BROWSER)
    for _ in range(30):
        desktop.step([])
    assert titles(desktop) == ["Browser"]


def test_a_created_folder_stays_and_opens() -> None:
    desktop = ScriptedDesktop()
    before = desktop.reset(0)
    create_folder(desktop)
    create_folder(desktop)
    double_click(desktop, HOME)
    assert desktop.state()["folders"] == ["Folder", "Folder 2"]
    assert desktop.state()["menu"] is None
    icon = {i["name"]: i["rect"] for i in desktop.state()["icons"]}["Folder"]
    frame = desktop.step(press(middle(desktop.state()["windows"][0]["close_button"])))
    rows, columns = slice(icon[1], icon[1] + icon[3]), slice(icon[0], icon[0] + icon[2])
    assert not np.array_equal(frame[rows, columns], before[rows, columns])
    double_click(desktop, middle(icon))
    assert titles(desktop) == ["Folder"]
    assert desktop.reset(0).tobytes() == before.tobytes()
    assert desktop.state()["folders"] == []


def test_a_full_desktop_takes_no_more_folders() -> None:
    desktop = ScriptedDesktop(ScriptedConfig(256, 192))
    for _ in range(12):
        create_folder(desktop, (250, 4))
    icons = desktop.state()["icons"]
    assert len({tuple(icon["rect"]) for icon in icons}) == len(icons) == 6


@pytest.mark.parametrize("how", ["click", "press on an icon", "Escape"])
def test_the_menu_closes_without_doing_anything(how: str) -> None:
    desktop = ScriptedDesktop()
    desktop.step(press(WALLPAPER, Button.RIGHT))
    assert desktop.state()["menu"] is not None
    ways: dict[str, list[Event]] = {
        "click": press((300, 60)),
        "press on an icon": press(HOME),
        "Escape": [KeyChanged(41, "Escape", True)],
    }
    desktop.step(ways[how])
    assert desktop.state()["menu"] is None
    assert desktop.state()["folders"] == []


def drag(desktop: ScriptedDesktop, by_px: tuple[int, int]) -> dict[str, Any]:
    bar = desktop.state()["windows"][-1]["title_bar"]
    grip = (bar[0] + 10, bar[1] + 10)
    end = (grip[0] + by_px[0], grip[1] + by_px[1])
    desktop.step([ButtonChanged(Button.LEFT, True, *grip)])
    desktop.step([PointerMoved(*end)])
    assert desktop.state()["dragging"] is not None
    desktop.step([ButtonChanged(Button.LEFT, False, *end)])
    desktop.step([PointerMoved(5, 370)])
    window: dict[str, Any] = desktop.state()["windows"][-1]
    return window


@pytest.mark.parametrize(("snap_px", "moved"), [(8, (48, 16)), (1, (45, 18))])
def test_a_dragged_window_snaps_and_stays_when_released(
    snap_px: int, moved: tuple[int, int]
) -> None:
    desktop = ScriptedDesktop(ScriptedConfig(snap_px=snap_px))
    double_click(desktop, HOME)
    before = desktop.state()["windows"][0]["rect"]
    after = drag(desktop, (45, 18))["rect"]
    assert after == [before[0] + moved[0], before[1] + moved[1], before[2], before[3]]


def test_a_window_cannot_leave_the_screen() -> None:
    desktop = ScriptedDesktop()
    double_click(desktop, HOME)
    assert drag(desktop, (-600, 600))["rect"] == [0, 184, 240, 176]


def test_a_press_raises_and_focuses_and_the_close_button_closes() -> None:
    desktop = ScriptedDesktop()
    double_click(desktop, HOME)
    home = desktop.state()["windows"][0]
    double_click(desktop, TRASH)
    assert [w["focused"] for w in desktop.state()["windows"]] == [False, True]
    frame = desktop.step(press((home["rect"][0] + 4, home["rect"][1] + 140)))
    assert titles(desktop) == ["Home", "Trash"][::-1]
    assert [w["focused"] for w in desktop.state()["windows"]] == [False, True]
    assert [w["z"] for w in desktop.state()["windows"]] == [0, 1]
    paper = frame[home["rect"][1] + 170, home["rect"][0] + 200]
    assert paper.tolist() == [240, 240, 232], "Home's paper shows where Trash lay on it"
    desktop.step(press(middle(home["close_button"])))
    assert titles(desktop) == ["Trash"]
    assert desktop.state()["windows"][0]["focused"]


def test_the_taskbar_raises_a_window() -> None:
    desktop = ScriptedDesktop()
    double_click(desktop, HOME)
    double_click(desktop, TRASH)
    desktop.step(press((80, 372)))
    assert titles(desktop) == ["Trash", "Home"]


def test_the_taskbar_has_the_menu_too() -> None:
    desktop = ScriptedDesktop()
    desktop.step(press((16, 372)))
    items = {item["label"]: item["rect"] for item in desktop.state()["menu"]["items"]}
    desktop.step(press(middle(items["Open Home"])))
    assert titles(desktop) == ["Home"]
    assert desktop.state()["menu"] is None


def test_the_cursor_is_drawn_where_the_pointer_is() -> None:
    desktop = ScriptedDesktop()
    far = desktop.step([PointerMoved(500, 340)])
    for x_px, y_px in ((300, 200), (511, 383), (0, 0), (505, 2)):
        frame = desktop.step([PointerMoved(x_px, y_px)])
        rows, columns = np.nonzero((frame != far).any(axis=2)[:330])
        if y_px < 330:
            assert (columns.min(), rows.min()) == (x_px, y_px)
        assert desktop.state()["cursor"]["x_px"] == x_px
    desktop.step([PointerMoved(9999, -5)])
    assert desktop.state()["cursor"] == {"x_px": 511, "y_px": 0, "shape": "arrow"}


def test_the_cursor_is_seen_at_a_quarter_of_the_size_everywhere() -> None:
    """At 128x96 a cursor on paper, page or wallpaper still stands out by 60 of 255."""
    desktop = ScriptedDesktop(ScriptedConfig(launch_frames=0))
    double_click(desktop, BROWSER)
    corner = desktop.step([PointerMoved(500, 375)])
    for point in ((200, 110), (300, 200), (450, 30), (300, 90), (330, 170)):
        frame = desktop.step([PointerMoved(*point)])
        change = frame.astype(np.float64) - corner
        small = change.reshape(96, 4, 128, 4, 3).mean(axis=(1, 3))
        cells = np.abs(small).max(axis=2) > 60
        assert cells[: 360 // 4].sum() >= 4, point
