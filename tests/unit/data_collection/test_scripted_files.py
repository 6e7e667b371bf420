"""Folders of the scripted desktop: named by typing, shown everywhere, opened, deleted."""

from __future__ import annotations

import pytest

from data_collection.desktops.scripted.filesystem import FileRefused, FileSystem, free_name
from data_collection.events import Button, KeyChanged
from tests.unit.data_collection.desk_user import (
    BACKSPACE,
    DELETE,
    DOWN,
    ESCAPE,
    RETURN,
    UP,
    WALLPAPER,
    DeskUser,
    middle,
)

FIRST_ROW = 24 + 24 + 4 + 10
"""From a file manager's top to the middle of its first row."""


def row(user: DeskUser, app: str, number: int) -> tuple[int, int]:
    rect = user.window(app)["rect"]
    return rect[0] + 60, rect[1] + FIRST_ROW + 20 * number


def test_create_folder_asks_for_a_name_and_keeps_it() -> None:
    user = DeskUser()
    user.menu(WALLPAPER, "Create folder")
    assert user.state["folders"] == ["Folder"], "it is there at once"
    naming = user.state["naming"]
    assert naming["text"] == "Folder"
    icon = user.state["icons"][-1]["rect"]
    assert naming["rect"][1] >= icon[1]
    user.type("my work")
    assert user.state["naming"]["text"] == "my work", "typing replaces the proposed name"
    user.key(RETURN)
    assert user.state["naming"] is None
    assert user.state["folders"] == ["my work"]
    user.rest(50)
    assert user.state["icons"][-1] == {"name": "my work", "app": "Folder", "rect": icon}


@pytest.mark.parametrize(
    ("how", "name"), [("Escape", "Folder"), ("click", "plans"), ("right click", "plans")]
)
def test_how_naming_ends(how: str, name: str) -> None:
    user = DeskUser()
    user.menu(WALLPAPER, "Create folder")
    user.type("plans")
    if how == "Escape":
        user.key(ESCAPE)
    else:
        user.click((400, 60), Button.RIGHT if how == "right click" else Button.LEFT)
    assert user.state["naming"] is None
    assert user.state["folders"] == [name]


@pytest.mark.parametrize(
    ("typed", "name"),
    [("", "Folder 2"), ("notes", "notes 2"), ("a/b", "ab"), ("..", "Folder 2"), (" x ", "x")],
)
def test_names_that_are_none_or_taken(typed: str, name: str) -> None:
    user = DeskUser()
    for text in ("notes", "Folder"):
        user.menu(WALLPAPER, "Create folder")
        user.type(text, RETURN)
    user.menu(WALLPAPER, "Create folder")
    user.key(BACKSPACE)
    user.type(typed, RETURN)
    assert user.state["folders"] == ["notes", "Folder", name]


def test_editing_a_name_with_keys_and_pointer() -> None:
    user = DeskUser()
    user.menu(WALLPAPER, "Create folder")
    rect = user.state["naming"]["rect"]
    user.click((rect[0] + 4, rect[1] + 6))
    user.type("My ")
    assert user.state["naming"]["text"] == "My Folder"
    user.key(79)
    user.key(DELETE)
    assert user.state["naming"]["text"] == "My Flder"
    user.do(KeyChanged(BACKSPACE, "BackSpace", True))
    user.rest(30)
    user.do(KeyChanged(BACKSPACE, "BackSpace", False))
    assert user.state["naming"]["text"] == "lder", "a key that is held goes on"
    user.rest(30)
    assert user.state["naming"]["text"] == "lder"


def test_folders_are_opened_renamed_and_deleted_by_their_menu() -> None:
    user = DeskUser()
    user.menu(WALLPAPER, "Create folder")
    user.type("one", RETURN)
    user.icon_menu("one", "Open")
    assert (user.window("Folder")["title"], user.apps()) == ("one", ["Folder"])
    user.click(WALLPAPER)
    user.click(middle(user.window("Folder")["minimise_button"]))
    user.icon_menu("one", "Rename")
    user.type("two", RETURN)
    assert user.state["folders"] == ["two"]
    assert user.window("Folder")["title"] == "two", "an open window follows"
    user.icon_menu("two", "Delete")
    assert user.state["folders"] == []
    assert len(user.state["icons"]) == 4
    user.open("Trash")
    before = user.frame
    user.click(row(user, "Trash", 0))
    assert (user.frame != before).any(), "it lies in the trash"
    user.menu(row(user, "Trash", 0), "Empty Trash")
    user.open("Terminal")
    assert user.run("ls -a .trash") == []


def test_the_file_manager_goes_in_and_up() -> None:
    user = DeskUser()
    user.menu(WALLPAPER, "Create folder")
    user.type("inner", RETURN)
    user.open("Home")
    user.double_click(row(user, "Home", 0))
    assert user.window("Home")["title"] == "Desktop"
    user.double_click(row(user, "Home", 0))
    assert user.window("Home")["title"] == "inner"
    rect = user.window("Home")["rect"]
    for title in ("Desktop", "Home", "home", "/", "/"):
        user.click((rect[0] + 12, rect[1] + 36))
        assert user.window("Home")["title"] == title


def test_the_file_manager_by_keys() -> None:
    user = DeskUser()
    user.open("Home")
    user.key(DOWN, 3)
    user.key(UP)
    user.key(RETURN)
    assert user.window("Home")["title"] == "Documents"
    user.key(DOWN, 9)
    user.key(RETURN)
    assert user.window("Viewer")["title"] == "list.txt"
    user.click(middle(user.window("Viewer")["close_button"]))
    user.key(DELETE)
    user.key(BACKSPACE)
    assert user.window("Home")["title"] == "Home"
    user.open("Terminal")
    assert user.run("ls Documents") == ["letter.txt"]


def test_a_held_delete_removes_what_was_selected_and_no_more() -> None:
    user = DeskUser()
    user.open("Terminal")
    for name in "abc":
        user.run(f"mkdir Desktop/{name}")
    user.click(middle(user.window("Terminal")["close_button"]))
    user.open("Home")
    user.double_click(row(user, "Home", 0))
    for key in (DOWN, DELETE, DOWN):
        user.key(key)
    user.do(KeyChanged(DELETE, "Delete", True))
    user.rest(40)
    assert user.state["folders"] == ["c"], "only what is selected goes"
    assert [icon["name"] for icon in user.state["icons"]][4:] == ["c"]


def test_a_folder_made_in_the_file_manager_stands_on_the_desktop_too() -> None:
    user = DeskUser()
    user.open("Home")
    user.double_click(row(user, "Home", 0))
    user.menu(row(user, "Home", 3), "Create folder")
    naming, window = user.state["naming"], user.window("Home")["rect"]
    assert window[0] < naming["rect"][0] < window[0] + window[2]
    user.type("shared", RETURN)
    assert user.state["folders"] == ["shared"]
    assert user.state["icons"][-1]["name"] == "shared"


def test_a_window_of_a_deleted_folder_goes_home() -> None:
    user = DeskUser()
    user.open("Terminal")
    user.run("mkdir Desktop/gone")
    user.click(middle(user.window("Terminal")["minimise_button"]))
    user.open("gone")
    assert user.window("Folder")["title"] == "gone"
    user.open("Terminal")
    assert user.run("rm -r Desktop/gone") == []
    assert user.state["folders"] == []
    assert user.window("Folder")["title"] == "Home"


def test_what_the_desktop_stands_on_cannot_be_removed() -> None:
    files = FileSystem()
    for node in (files.root, files.home, files.desktop, files.trash):
        with pytest.raises(FileRefused):
            files.remove(node)
        with pytest.raises(FileRefused):
            files.rename(node, "other")
    made = files.make_folder(files.desktop, "a")
    assert free_name(files.desktop, "a") == "a 2"
    assert files.path(made) == "/home/user/Desktop/a"
    assert files.find(made, "../../Desktop/a/.") is made
    assert files.find(made, "~/notes.txt/x") is None
    with pytest.raises(FileRefused):
        files.make_folder(files.desktop, "a")
