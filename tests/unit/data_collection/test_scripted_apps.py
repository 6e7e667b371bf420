"""The terminal and the browser of the scripted desktop."""

from __future__ import annotations

import pytest

from data_collection.desktops.scripted.apps.pages import PAGES, START, full_address, page_at
from data_collection.desktops.scripted.apps.pages import Links as PageLinks
from tests.unit.data_collection.desk_user import (
    BACKSPACE,
    DOWN,
    ESCAPE,
    RETURN,
    UP,
    DeskUser,
    middle,
)


@pytest.fixture
def terminal() -> DeskUser:
    user = DeskUser()
    user.open("Terminal")
    return user


@pytest.fixture
def browser() -> DeskUser:
    user = DeskUser()
    user.open("Browser")
    assert user.state["browser"]["address"] == START
    return user


@pytest.mark.parametrize(
    ("command", "prints"),
    [
        ("pwd", ["/home/user"]),
        ("ls", ["Desktop/  Documents/  Pictures/  Music/  notes.txt  report.pdf"]),
        ("ls Documents", ["letter.txt  list.txt"]),
        ("ls nowhere", ["ls: nowhere: no such file or folder"]),
        ("echo two  words", ["two words"]),
        ("echo 'two  words'", ["two  words"]),
        ("echo 'open", ["unbalanced quotes"]),
        ("cat Documents/list.txt", ["one", "two", "three"]),
        ("cat Documents", ["cat: Documents: is a folder"]),
        ("cat x", ["cat: x: no such file"]),
        ("mkdir Music", ["mkdir: Music: exists already"]),
        ("cd notes.txt", ["cd: not a folder"]),
        ("rm Music", ["rm: Music: is a folder (rm -r)"]),
        ("rm -r Desktop", ["rm: Desktop: is in use"]),
        ("rm -r /", ["rm: /: is in use"]),
        ("frobnicate -x", ["frobnicate: command not found"]),
        ("", []),
    ],
)
def test_what_commands_print(terminal: DeskUser, command: str, prints: list[str]) -> None:
    assert terminal.run(command) == prints


def test_help_names_every_command(terminal: DeskUser) -> None:
    names = {line.split()[0] for line in terminal.run("help")}
    assert names == {"cat", "cd", "clear", "echo", "ls", "mkdir", "pwd", "rm"}


def test_folders_made_in_the_terminal_stand_on_the_desktop(terminal: DeskUser) -> None:
    terminal.run("cd Desktop")
    assert terminal.state["terminal"]["cwd"] == "/home/user/Desktop"
    terminal.run("mkdir notes")
    assert terminal.state["folders"] == ["notes"]
    assert terminal.state["terminal"]["lines"][-1] == "~/Desktop$ mkdir notes"
    terminal.run("echo hello > notes/a.txt")
    terminal.run("echo again >> notes/a.txt")
    assert terminal.run("cat notes/a.txt") == ["hello", "again"]
    terminal.run("rm -r notes")
    assert terminal.state["folders"] == []
    terminal.run("cd")
    assert terminal.state["terminal"]["cwd"] == "/home/user"


def test_clear_history_and_editing(terminal: DeskUser) -> None:
    terminal.run("echo one")
    terminal.run("echo two")
    terminal.key(UP, 2)
    assert terminal.state["terminal"]["typed"] == "echo one"
    terminal.key(DOWN)
    assert terminal.state["terminal"]["typed"] == "echo two"
    terminal.key(BACKSPACE, 3)
    terminal.type("six")
    terminal.key(74)
    terminal.type("e")
    assert terminal.state["terminal"]["typed"] == "eecho six"
    terminal.type("", RETURN)
    assert terminal.state["terminal"]["lines"][-1] == "eecho: command not found"
    terminal.type("clear", RETURN)
    assert terminal.state["terminal"]["lines"] == []


def test_what_is_typed_shows_at_once_and_scrolls(terminal: DeskUser) -> None:
    before = terminal.frame
    terminal.type("x")
    assert (terminal.frame != before).any()
    terminal.key(BACKSPACE)
    assert (terminal.frame == before).all()
    for number in range(30):
        terminal.run(f"echo {number}")
    bottom, place = terminal.frame, middle(terminal.window("Terminal")["rect"])
    terminal.wheel(place, 5)
    scrolled = terminal.frame
    assert (scrolled != bottom).any()
    terminal.wheel(place, -5)
    terminal.wheel(place, 5)
    assert (terminal.frame == scrolled).all()
    terminal.type("y")
    terminal.key(BACKSPACE)
    terminal.wheel((500, 370), 0)
    terminal.wheel(place, 0)
    assert (terminal.frame == bottom)[:200, :110].all()
    terminal.run("echo " + "long " * 20)
    assert len(terminal.state["terminal"]["lines"]) < 201


def links(user: DeskUser) -> dict[str, tuple[int, int]]:
    return {link["label"]: middle(link["rect"]) for link in user.state["browser"]["links"]}


def test_links_and_the_ways_back_and_forward(browser: DeskUser) -> None:
    start = browser.frame
    browser.click(links(browser)["News"])
    assert browser.state["browser"]["address"] == "http://news.example/"
    assert browser.state["browser"]["title"] == "News"
    assert (browser.frame != start).any()
    browser.click(links(browser)["Folder found on desktop"])
    inner = browser.window("Browser")["rect"]
    back, forward = (inner[0] + 12, inner[1] + 36), (inner[0] + 30, inner[1] + 36)
    browser.click(back)
    browser.click(back)
    browser.click(back)
    assert browser.state["browser"]["address"] == START
    browser.click(forward)
    assert browser.state["browser"]["title"] == "News"
    browser.menu(middle(inner), "Start page")
    assert browser.state["browser"]["address"] == START


def test_an_address_is_typed_over_the_one_shown(browser: DeskUser) -> None:
    bar = middle(browser.state["browser"]["address_bar"])
    browser.type("ignored")
    assert browser.state["browser"]["typed"] == START, "the bar has not been pressed yet"
    browser.click(bar)
    browser.type("Garden.example", RETURN)
    assert browser.state["browser"]["address"] == "http://garden.example/"
    browser.click(bar)
    browser.type("nowhere.example/x", RETURN)
    state = browser.state["browser"]
    assert (state["address"], state["title"]) == ("http://nowhere.example/x", "Not found")
    browser.click(links(browser)["Start page"])
    browser.click(bar)
    browser.type("half an addr", ESCAPE)
    state = browser.state["browser"]
    assert (state["typed"], state["editing"]) == (START, False)


def test_long_pages_scroll(browser: DeskUser) -> None:
    browser.click(middle(browser.state["browser"]["address_bar"]))
    browser.type("library.example/windows", RETURN)
    assert "Library" not in links(browser)
    place = middle(browser.window("Browser")["rect"])
    browser.wheel(place, -30)
    assert "Library" in links(browser)
    browser.wheel(place, 30)
    assert "Library" not in links(browser)
    browser.key(78, 20)
    browser.click(links(browser)["Library"])
    assert browser.state["browser"]["title"] == "Library"


def test_every_link_leads_to_a_page() -> None:
    for address, page in PAGES.items():
        assert full_address(address) == address
        targets = [link[1] for b in page.blocks if isinstance(b, PageLinks) for link in b.links]
        assert targets, "no page is a dead end"
        assert all(target in PAGES for target in targets), address
    assert page_at("http://x.example/").title == "Not found"
    assert full_address(" Start.Example ") == START
