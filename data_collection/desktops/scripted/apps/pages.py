"""The pages of the browser: a small web that is the same everywhere and needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from data_collection.desktops.scripted.drawing import Colour

START = "http://start.example/"


@dataclass(frozen=True, slots=True)
class Heading:
    """A band of colour with the page's name on it."""

    text: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text, broken to the width of the page."""

    text: str


@dataclass(frozen=True, slots=True)
class Links:
    """Links beside each other, as many in a row as fit: (label, address)."""

    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Swatches:
    """Blocks of colour beside each other."""

    colours: tuple[Colour, ...]


Block = Union[Heading, Paragraph, Links, Swatches]


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its title, and its blocks from top to bottom."""

    title: str
    blocks: tuple[Block, ...]


_TO_START = Links((("Start page", START),))

PAGES: dict[str, Page] = {
    START: Page(
        "Welcome",
        (
            Heading("Welcome", (72, 168, 112)),
            Paragraph("A small page on a small screen."),
            Links(
                (
                    ("News", "http://news.example/"),
                    ("Weather", "http://weather.example/"),
                    ("Garden", "http://garden.example/"),
                    ("Library", "http://library.example/"),
                )
            ),
            Swatches(((232, 120, 88), (88, 144, 224), (240, 200, 80))),
            Paragraph("It looks the same each time."),
        ),
    ),
    "http://news.example/": Page(
        "News",
        (
            Heading("News", (200, 72, 64)),
            Links((("A window was moved", "http://news.example/window"),)),
            Paragraph("Witnesses say that it snapped into place and stayed there."),
            Links((("Folder found on desktop", "http://news.example/folder"),)),
            Paragraph("Nobody knows yet who made it, or what its name is to be."),
            Links((("Weather", "http://weather.example/"), ("Start page", START))),
        ),
    ),
    "http://news.example/window": Page(
        "A window was moved",
        (
            Heading("Moved", (200, 72, 64)),
            Paragraph(
                "It was taken by its title bar, carried to the right, and let go. "
                "The window below it, hidden for a long time, came back into sight."
            ),
            Links((("All news", "http://news.example/"), ("Start page", START))),
        ),
    ),
    "http://news.example/folder": Page(
        "Folder found on desktop",
        (
            Heading("Found", (200, 72, 64)),
            Paragraph("The folder is empty. It will stay until someone deletes it."),
            Swatches(((248, 204, 72), (208, 152, 32))),
            Links((("All news", "http://news.example/"), ("Start page", START))),
        ),
    ),
    "http://weather.example/": Page(
        "Weather",
        (
            Heading("Weather", (64, 136, 208)),
            Swatches(((248, 208, 80), (168, 200, 232), (128, 144, 168))),
            Paragraph("Today sun, tomorrow some cloud, then rain on all windows."),
            Links((("Garden", "http://garden.example/"), ("Start page", START))),
        ),
    ),
    "http://garden.example/": Page(
        "Garden",
        (
            Heading("Garden", (88, 144, 56)),
            Paragraph("What grows here, row by row:"),
            Swatches(((208, 56, 72), (240, 136, 40), (248, 216, 72), (104, 176, 72))),
            Paragraph("Tulips, marigolds, sunflowers, and grass between them."),
            Links((("Weather", "http://weather.example/"), ("Start page", START))),
        ),
    ),
    "http://library.example/": Page(
        "Library",
        (
            Heading("Library", (120, 88, 160)),
            Paragraph("Two books stand on the shelf."),
            Links(
                (
                    ("Of Windows", "http://library.example/windows"),
                    ("Of Folders", "http://library.example/folders"),
                    ("Start page", START),
                )
            ),
        ),
    ),
    "http://library.example/windows": Page(
        "Of Windows",
        (
            Heading("Of Windows", (120, 88, 160)),
            Paragraph("One. A window has a bar with its name, and a sheet below it."),
            Paragraph("Two. It lies on others or under them. A press brings it up."),
            Paragraph("Three. Taken by the bar it moves, by the corner it grows."),
            Paragraph("Four. The line puts it away, the square makes it large."),
            Paragraph("Five. The cross closes it, and the next one is in front."),
            Paragraph("Six. What is typed goes to the one in front, and no other."),
            Links((("Library", "http://library.example/"), ("Start page", START))),
        ),
    ),
    "http://library.example/folders": Page(
        "Of Folders",
        (
            Heading("Of Folders", (120, 88, 160)),
            Paragraph("One. A folder is made with a menu, or by a word in the terminal."),
            Paragraph("Two. Its name is asked for at once. Return keeps what was typed."),
            Paragraph("Three. A folder holds files and other folders, or nothing."),
            Paragraph("Four. What is deleted lies in the trash until that is emptied."),
            Links((("Library", "http://library.example/"), ("Start page", START))),
        ),
    ),
}


def full_address(typed: str) -> str:
    """Return what a person typed as an address: scheme before it, slash after a bare name."""
    address = typed.strip().lower()
    if "://" not in address:
        address = f"http://{address}"
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest}" if "/" in rest else f"{scheme}://{rest}/"


def page_at(address: str) -> Page:
    """Return the page of an address, or one that says there is none."""
    page = PAGES.get(address)
    if page is not None:
        return page
    return Page(
        "Not found",
        (
            Heading("Not found", (136, 136, 144)),
            Paragraph(f"There is no page at {address}"),
            Paragraph("Check the address, or go back."),
            _TO_START,
        ),
    )
