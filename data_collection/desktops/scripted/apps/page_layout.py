"""Where the parts of a page stand at a given width, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from data_collection.desktops.scripted.apps.content import INK
from data_collection.desktops.scripted.apps.pages import Heading, Links, Page, Paragraph, Swatches
from data_collection.desktops.scripted.drawing import Colour, fill, write, write_centred
from data_collection.desktops.scripted.font import fit_text, text_width_px
from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.wrapping import wrapped
from data_collection.trace import Frame

_MARGIN_PX = 16
_GAP_PX = 8
_LINE_PX = 16
_LINK_PX = 12
_HEADING_PX = 48
_SWATCH_PX = 40
_LINK_INK: Colour = (24, 80, 200)
_WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class PlacedLink:
    """A link, where it stands on the page."""

    label: str
    address: str
    rect: Rect


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts of a page with their places; the page's top left corner is (0, 0)."""

    height_px: int
    headings: tuple[tuple[Rect, Heading], ...]
    lines: tuple[tuple[int, str], ...]
    """The top of each line of text."""
    links: tuple[PlacedLink, ...]
    swatches: tuple[tuple[Rect, Colour], ...]

    def paint(self, canvas: Frame, scroll_px: int) -> None:
        """Draw the page, moved up by what is scrolled."""
        for rect, heading in self.headings:
            band = rect.moved_by(0, -scroll_px)
            fill(canvas, band, heading.colour)
            scale = 2 if text_width_px(heading.text, 2) < rect.width_px else 1
            write_centred(canvas, band, heading.text, _WHITE, scale)
        for rect, colour in self.swatches:
            fill(canvas, rect.moved_by(0, -scroll_px), colour)
        for y_px, line in self.lines:
            write(canvas, _MARGIN_PX, y_px - scroll_px, line, INK)
        for link in self.links:
            rect = link.rect.moved_by(0, -scroll_px)
            write(canvas, rect.x_px, rect.y_px + 2, fit_text(link.label, rect.width_px), _LINK_INK)
            fill(canvas, Rect(rect.x_px, rect.y_px + 11, rect.width_px, 1), _LINK_INK)


@lru_cache(maxsize=256)
def layout(page: Page, width_px: int) -> Layout:
    """Place the blocks of a page below each other."""
    column_px = max(40, width_px - 2 * _MARGIN_PX)
    headings: list[tuple[Rect, Heading]] = []
    lines: list[tuple[int, str]] = []
    links: list[PlacedLink] = []
    swatches: list[tuple[Rect, Colour]] = []
    y_px = _MARGIN_PX
    for block in page.blocks:
        if isinstance(block, Heading):
            headings.append((Rect(_MARGIN_PX, y_px, column_px, _HEADING_PX), block))
            y_px += _HEADING_PX
        elif isinstance(block, Paragraph):
            for line in wrapped(block.text, column_px):
                lines.append((y_px, line))
                y_px += _LINE_PX
        elif isinstance(block, Links):
            placed = _placed_links(block, column_px, y_px)
            links += placed
            y_px = placed[-1].rect.bottom_px
        else:
            y_px = _place_swatches(block, column_px, y_px, swatches)
        y_px += _GAP_PX
    return Layout(y_px + _GAP_PX, tuple(headings), tuple(lines), tuple(links), tuple(swatches))


def _placed_links(block: Links, column_px: int, y_px: int) -> list[PlacedLink]:
    placed: list[PlacedLink] = []
    x_px = 0
    for label, address in block.links:
        width_px = min(text_width_px(label), column_px)
        if x_px and x_px + width_px > column_px:
            x_px, y_px = 0, y_px + _LINE_PX
        rect = Rect(_MARGIN_PX + x_px, y_px, width_px, _LINK_PX)
        placed.append(PlacedLink(label, address, rect))
        x_px += width_px + 2 * _GAP_PX
    return placed


def _place_swatches(
    block: Swatches, column_px: int, y_px: int, swatches: list[tuple[Rect, Colour]]
) -> int:
    """Add the blocks of colour and return the row below them."""
    count = len(block.colours)
    width_px = min(80, (column_px - _GAP_PX * (count - 1)) // count)
    for index, colour in enumerate(block.colours):
        x_px = _MARGIN_PX + index * (width_px + _GAP_PX)
        swatches.append((Rect(x_px, y_px, width_px, _SWATCH_PX), colour))
    return y_px + _SWATCH_PX
