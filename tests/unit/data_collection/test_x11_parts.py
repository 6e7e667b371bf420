"""Parts of the real desktop that need none of its programs."""

from __future__ import annotations

import pytest

from data_collection.desktops.x11 import X11Config
from data_collection.desktops.x11.menus import KnownMenu, RowHeights, menu_json
from data_collection.desktops.x11.popups import Popup
from data_collection.desktops.x11.scancodes import KEYCODES
from data_collection.desktops.x11.terminal_log import screen_lines

_MENU = KnownMenu("desk", ("Open", None, "Create folder"), heights=RowHeights(16, 7, 2))


@pytest.mark.parametrize(
    ("scancode", "keycode"),
    # a, z, 1, 0, Return, Escape, F1, F12, Up, Left, Control_L, Super_R
    [
        (4, 38), (29, 52), (30, 10), (39, 19), (40, 36), (41, 9), (58, 67), (69, 96), (82, 111),
        (80, 113), (224, 37), (231, 134),
    ],
)  # fmt: skip
def test_scancodes_have_the_keycodes_of_an_evdev_keyboard(scancode: int, keycode: int) -> None:
    assert KEYCODES[scancode] == keycode


def test_a_terminal_shows_what_control_characters_leave() -> None:
    typed = (
        "~ $ lsx\b \b -l\r\n\x1b[01;34mDesktop\x1b[0m  notes\r\n50%\r100%\r\n\x1b]0;title\x07~ $ "
    )
    assert screen_lines(typed) == ["~ $ ls -l", "Desktop  notes", "100%", "~ $"]


def test_a_known_menu_has_its_items_where_it_draws_them() -> None:
    menu = menu_json([_MENU], [Popup("Desk", (100, 50, 80, 43), ())])
    assert menu is not None
    assert menu["rect"] == [100, 50, 80, 43]
    rects = {item["label"]: item["rect"] for item in menu["items"]}
    assert rects == {"Open": [101, 52, 78, 16], "Create folder": [101, 75, 78, 16]}


@pytest.mark.parametrize(
    "popup", [Popup("desk", (100, 50, 80, 60), ()), Popup("other", (100, 50, 80, 43), ())]
)
def test_another_menu_has_a_place_and_no_items(popup: Popup) -> None:
    menu = menu_json([_MENU], [popup])
    assert menu is not None
    assert menu["items"] == []


def test_no_menu_is_no_menu() -> None:
    assert menu_json([_MENU], []) is None


def test_an_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'xfce'"):
        X11Config("xfce4")
    with pytest.raises(ValueError, match="too small"):
        X11Config(width_px=64)
