"""The real desktop in use: pointer, windows, terminal, menus, browser."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from x11_hand import X11Hand, icon_rect, window_of

from data_collection.desktops.x11 import X11Config, X11Desktop
from data_collection.events import Button, ButtonChanged, KeyChanged, PointerMoved, TextTyped

pytestmark = pytest.mark.needs("Xvfb", "openbox", "pcmanfm", "xterm", "dbus-daemon", "chromium")


_XFCE = ("xfwm4", "xfdesktop", "xfce4-panel", "thunar", "xfce4-terminal")


@pytest.fixture(
    scope="module",
    params=["lean", pytest.param("xfce", marks=[pytest.mark.nightly, pytest.mark.needs(*_XFCE)])],
)
def desktop(request: pytest.FixtureRequest) -> Iterator[X11Desktop]:
    desktop = X11Desktop(X11Config(request.param))
    desktop.start()
    yield desktop
    desktop.close()


@pytest.fixture
def hand(desktop: X11Desktop) -> Iterator[X11Hand]:
    """A hand at a desktop with no window open: one session serves several tests."""
    hand = X11Hand(desktop)
    yield hand
    while windows := desktop.state()["windows"]:
        hand.click(windows[-1]["close_button"])
        open_now = len(windows)
        hand.until(lambda state, n=open_now: len(state["windows"]) < n)


def test_the_cursor_is_where_it_was_told_to_be(hand: X11Hand) -> None:
    hand.do([PointerMoved(300, 30)])
    elsewhere = hand.frame
    hand.do([PointerMoved(200, 150)])
    changed = (hand.frame != elsewhere).any(axis=2)
    rows, columns = np.nonzero(changed[100:])
    # The tip of the arrow is its hot spot: the first pixel of both axes, give or take its edge.
    assert abs(int(rows.min()) + 100 - 150) <= 1
    assert abs(int(columns.min()) - 200) <= 1
    assert hand.state["cursor"]["x_px"] == 200


def test_a_window_opens_moves_and_closes(hand: X11Hand) -> None:
    window = hand.open("Home")
    x_px, y_px = window["title_bar"][0] + 60, window["title_bar"][1] + 8
    hand.do([PointerMoved(x_px, y_px)], [ButtonChanged(Button.LEFT, True, x_px, y_px)])
    assert hand.state["dragging"] == window["id"]
    hand.do(*([PointerMoved(x_px + 10 * n, y_px + 6 * n)] for n in range(1, 9)))
    hand.do([ButtonChanged(Button.LEFT, False, x_px + 80, y_px + 48)])
    moved = hand.until(lambda state: state["windows"][0]["rect"] != window["rect"])
    assert moved
    rect = hand.state["windows"][0]["rect"]
    assert (rect[0] - window["rect"][0], rect[1] - window["rect"][1]) == (80, 48)
    hand.click(hand.state["windows"][0]["close_button"])
    hand.until(lambda state: not state["windows"])


def test_what_is_typed_arrives_in_the_terminal(hand: X11Hand) -> None:
    hand.open("Terminal")
    hand.until(lambda state: state["terminal"] and "$" in state["terminal"]["lines"][-1])
    hand.type('cd Documents; echo "Ärger & 2*3"\n')
    hand.until(lambda state: "Ärger & 2*3" in state["terminal"]["lines"])
    assert hand.until(lambda state: state["terminal"]["cwd"].endswith("/Documents"))


def test_a_folder_is_made_by_menu_and_name(hand: X11Hand) -> None:
    hand.click([400, 200, 2, 2], Button.RIGHT)
    menu = hand.until(lambda state: state["menu"])
    opener = next((item for item in menu["items"] if "Create folder" in item["leads_to"]), None)
    if opener is not None:
        hand.click(opener["rect"])
    item = hand.until(
        lambda state: next((i for i in state["menu"]["items"] if i["label"] == "Create folder"), 0)
    )
    hand.click(item["rect"])
    hand.until(lambda state: state["naming"])
    hand.type("Zoo")
    assert hand.state["naming"]["text"] == "Zoo"
    hand.type("\n")
    hand.until(lambda state: state["folders"] == ["Zoo"])
    hand.until(lambda state: not state["naming"])
    hand.click(icon_rect(hand.state, "Zoo"), times=2)
    assert hand.until(lambda state: window_of(state, "folder"))["title"] == "Zoo"


def test_the_browser_follows_links_and_addresses(hand: X11Hand) -> None:
    hand.click(icon_rect(hand.state, "Browser"), times=2)
    assert hand.state["launching"] == {"app": "Browser"}
    links = hand.until(lambda state: state["browser"] and state["browser"]["links"])
    assert hand.state["launching"] is None
    link = next(link for link in links if link["label"] == "Weather")
    hand.click(link["rect"])
    hand.until(lambda state: state["browser"]["address"] == link["address"])
    hand.click(hand.state["browser"]["address_bar"])
    hand.type("garden.example\n")
    hand.until(lambda state: state["browser"]["address"] == "http://garden.example/")


def test_a_window_is_maximised_minimised_and_brought_back(hand: X11Hand) -> None:
    window = hand.open("Trash")
    hand.click(window["maximise_button"])
    hand.until(lambda state: state["windows"][0]["maximised"])
    hand.click(hand.state["windows"][0]["maximise_button"])
    hand.until(lambda state: not state["windows"][0]["maximised"])
    hand.click(hand.state["windows"][0]["minimise_button"])
    hand.until(lambda state: state["windows"][0]["minimised"])
    for button in hand.state["taskbar"]:
        hand.click(button["rect"])
    if not hand.state["taskbar"]:
        alt, tab = (226, "Alt_L"), (43, "Tab")
        hand.do([KeyChanged(*alt, True)], [KeyChanged(*tab, True)], [KeyChanged(*tab, False)])
        hand.do([KeyChanged(*alt, False)])
    hand.until(lambda state: not state["windows"][0]["minimised"])


def test_a_key_held_repeats_by_periods_and_none_is_left_held(hand: X11Hand) -> None:
    hand.open("Terminal")
    hand.until(lambda state: state["terminal"] and "$" in state["terminal"]["lines"][-1])
    # Keys drive: the text that comes with a key, or while it is held, is not typed again.
    hand.do([KeyChanged(4, "a", True), TextTyped("a")], *([TextTyped("a")] for _ in range(10)))
    hand.do([KeyChanged(4, "a", False)])
    hand.until(lambda state: state["terminal"]["lines"][-1].endswith("$ aaaa"))
    hand.type("b\n")
    hand.until(lambda state: any("$ aaaab" in line for line in state["terminal"]["lines"]))
