"""Windows of the scripted desktop: resize, maximise, minimise, focus, menus."""

from __future__ import annotations

import numpy as np
import pytest

from data_collection.events import Button, ButtonChanged, KeyChanged
from tests.unit.data_collection.desk_user import ESCAPE, WALLPAPER, DeskUser, middle


def test_the_corner_resizes_on_the_grid_and_stops_at_the_edges() -> None:
    user = DeskUser()
    user.open("Home")
    x_px, y_px, width_px, height_px = user.window("Home")["rect"]
    user.drag(middle(user.window("Home")["resize_corner"]), (51, 29))
    assert user.window("Home")["rect"] == [x_px, y_px, width_px + 48, height_px + 32]
    user.drag(middle(user.window("Home")["resize_corner"]), (900, 900))
    assert user.window("Home")["rect"] == [x_px, y_px, 512 - x_px, 360 - y_px]
    user.drag(middle(user.window("Home")["resize_corner"]), (-900, -900))
    assert user.window("Home")["rect"] == [x_px, y_px, 136, 88]


@pytest.mark.parametrize(
    ("place", "by_px", "change"),
    [
        ((0.0, 0.5), (-24, 40), (-24, 0, 24, 0)),
        ((1.0, 0.5), (24, 40), (0, 0, 24, 0)),
        ((0.5, 1.0), (24, 40), (0, 0, 0, 40)),
    ],
)
def test_edges_resize_one_way(
    place: tuple[float, float], by_px: tuple[int, int], change: tuple[int, int, int, int]
) -> None:
    user = DeskUser()
    user.open("Home")
    rect = user.window("Home")["rect"]
    point = (
        rect[0] + round(place[0] * (rect[2] - 1)),
        rect[1] + round(place[1] * (rect[3] - 1)),
    )
    user.drag(point, by_px)
    assert user.window("Home")["rect"] == [old + d for old, d in zip(rect, change, strict=True)]


@pytest.mark.parametrize("how", ["button", "double click", "menu"])
def test_a_window_is_maximised_and_put_back(how: str) -> None:
    user = DeskUser()
    user.open("Home")
    before = user.window("Home")
    bar = before["title_bar"]
    title = (bar[0] + 20, bar[1] + 10)

    def change_over(label: str, point: tuple[int, int]) -> None:
        if how == "button":
            user.click(middle(user.window("Home")["maximise_button"]))
        elif how == "double click":
            user.double_click(point)
        else:
            user.menu(point, label)

    change_over("Maximise", title)
    assert user.window("Home")["rect"] == user.state["screen"]["work_area"]
    assert user.window("Home")["maximised"]
    user.drag((200, 8), (60, 60))
    assert user.window("Home")["rect"] == user.state["screen"]["work_area"], "it stays put"
    change_over("Restore", (200, 8))
    assert user.window("Home")["rect"] == before["rect"]


def test_a_minimised_window_waits_in_the_taskbar() -> None:
    user = DeskUser()
    user.open("Trash")
    user.open("Home")
    user.click(middle(user.window("Home")["minimise_button"]))
    home, trash = user.window("Home"), user.window("Trash")
    assert (home["minimised"], home["focused"], trash["focused"]) == (True, False, True)
    paper = user.frame[home["rect"][1] + 160, home["rect"][0] + 220].tolist()
    assert paper != [240, 240, 232], "it is not painted"
    button = next(one["rect"] for one in user.state["taskbar"] if one["id"] == home["id"])
    user.click(middle(button))
    assert user.window("Home")["rect"] == home["rect"]
    assert user.window("Home")["focused"]
    user.click(middle(button))
    assert user.window("Home")["minimised"], "a click on the focused one's button minimises it"
    user.open("Home")
    assert not user.window("Home")["minimised"], "its icon brings it back, too"
    assert user.apps().count("Home") == 1


def test_keys_go_to_the_window_with_the_focus_only() -> None:
    user = DeskUser()
    user.open("Terminal")
    user.type("abc")
    user.open("Home")
    user.type("def")
    assert user.state["terminal"]["typed"] == "abc"
    terminal = user.window("Terminal")["rect"]
    user.click((terminal[0] + 10, terminal[1] + 60))
    user.type("ghi")
    assert user.state["terminal"]["typed"] == "abcghi"
    user.click(WALLPAPER)
    assert not any(window["focused"] for window in user.state["windows"])
    user.type("jkl")
    assert user.state["terminal"]["typed"] == "abcghi"


def test_the_caret_does_not_blink() -> None:
    user = DeskUser()
    user.open("Terminal")
    before = user.frame
    for _ in range(60):
        user.do()
        assert np.array_equal(user.frame, before)


def test_alt_and_f4_close_the_window_with_the_focus() -> None:
    user = DeskUser()
    user.open("Trash")
    user.open("Home")
    user.do(KeyChanged(226, "Alt_L", True))
    user.do(KeyChanged(61, "F4", True), KeyChanged(61, "F4", False), KeyChanged(226, "", False))
    assert user.apps() == ["Trash"]
    user.key(61)
    assert user.apps() == ["Trash"]


def test_the_menu_of_a_title_bar_minimises_and_closes() -> None:
    user = DeskUser()
    user.open("Home")
    bar = user.window("Home")["title_bar"]
    title = (bar[0] + 30, bar[1] + 10)
    user.menu(title, "Minimise")
    assert user.window("Home")["minimised"]
    user.open("Home")
    user.menu(title, "Close")
    assert user.apps() == []


def test_the_item_under_the_pointer_is_marked() -> None:
    user = DeskUser()
    user.click((300, 100), Button.RIGHT)
    plain = user.frame
    user.click((10, 10))
    assert user.state["menu"] is None
    user.click((300, 100), Button.RIGHT)
    assert np.array_equal(user.frame, plain)
    item = user.state["menu"]["items"][1]["rect"]
    user.do(ButtonChanged(Button.MIDDLE, True, *middle(item)))
    assert user.frame[item[1] + 2, item[0] + 2].tolist() == [64, 128, 216]
    user.key(ESCAPE)
    assert user.state["menu"] is None


def test_only_so_many_windows_open() -> None:
    user = DeskUser()
    for name in ("Home", "Trash", "Terminal", "Browser"):
        user.open(name)
    user.click(middle(user.window("Terminal")["minimise_button"]))
    user.click(middle(user.window("Browser")["minimise_button"]))
    assert len(user.state["taskbar"]) == 4
    rects = [tuple(one["rect"]) for one in user.state["taskbar"]]
    assert len(set(rects)) == 4
    assert max(x_px + width_px for x_px, _, width_px, _ in rects) <= 512
