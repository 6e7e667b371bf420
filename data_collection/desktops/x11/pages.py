"""The pages that the browser of a real desktop finds."""

from __future__ import annotations

from dataclasses import dataclass

Links = tuple[tuple[str, str], ...]
"""Links beside each other: (label, address)."""

START = "http://start.example/"


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its title, the colour of its heading, and its paragraphs and rows of links."""

    title: str
    colour: str
    blocks: tuple[str | Links, ...]


_NEWS, _WEATHER = "http://news.example/", "http://weather.example/"
_GARDEN, _LIBRARY = "http://garden.example/", "http://library.example/"

PAGES: dict[str, Page] = {
    START: Page(
        "Welcome",
        "#48a870",
        (
            "A small page on a small screen.",
            (("News", _NEWS), ("Weather", _WEATHER), ("Garden", _GARDEN), ("Library", _LIBRARY)),
            "It took a while to get here, and it looks the same each time.",
        ),
    ),
    _NEWS: Page(
        "News",
        "#c84840",
        (
            "A window was moved. Witnesses say that it stayed there.",
            (("Weather", _WEATHER), ("Start page", START)),
        ),
    ),
    _WEATHER: Page(
        "Weather",
        "#4088d0",
        (
            "Today sun, tomorrow some cloud, then rain on all windows.",
            (("Garden", _GARDEN), ("Start page", START)),
        ),
    ),
    _GARDEN: Page(
        "Garden",
        "#589038",
        (
            "Tulips, marigolds, sunflowers, and grass between them.",
            (("Weather", _WEATHER), ("Start page", START)),
        ),
    ),
    _LIBRARY: Page(
        "Library",
        "#7858a0",
        ("Two books stand on the shelf.", (("News", _NEWS), ("Start page", START))),
    ),
}
