"""Drawing on an array: filled rectangles, frames, text and sprites, clipped to the canvas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_collection.desktops.scripted.font import GLYPH_HEIGHT_PX, text_mask, text_width_px
from data_collection.desktops.scripted.geometry import Rect
from data_collection.trace import Frame

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A small picture with holes."""

    pixels: Frame
    mask: npt.NDArray[np.bool_]
    """(height, width); False leaves what lies below."""


def sprite_from_art(rows: Sequence[str], palette: Mapping[str, Colour], scale: int = 1) -> Sprite:
    """Build a sprite from equally long lines of characters; ``.`` is a hole.

    Args:
        rows: one string per row of art.
        palette: the colour of each other character.
        scale: pixels per character, in both directions.
    """
    art = np.array([list(row) for row in rows])
    pixels = np.zeros((*art.shape, 3), dtype=np.uint8)
    for character, colour in palette.items():
        pixels[art == character] = colour
    return Sprite(
        pixels.repeat(scale, axis=0).repeat(scale, axis=1),
        (art != ".").repeat(scale, axis=0).repeat(scale, axis=1),
    )


def fill(canvas: Frame, rect: Rect, colour: Colour) -> None:
    """Fill a rectangle with one colour."""
    x_px, y_px = max(0, rect.x_px), max(0, rect.y_px)
    right_px, bottom_px = max(0, rect.right_px), max(0, rect.bottom_px)
    fill_all(canvas[y_px:bottom_px, x_px:right_px], colour)


def fill_all(canvas: Frame, colour: Colour) -> None:
    """Fill a whole canvas with one colour."""
    if canvas.size:
        # Copying a row is several times as fast as spreading three numbers over an area.
        canvas[0] = colour
        canvas[1:] = canvas[0]


def outline(canvas: Frame, rect: Rect, colour: Colour, thickness_px: int = 1) -> None:
    """Draw the inner edge of a rectangle."""
    x_px, y_px, width_px, height_px = rect.x_px, rect.y_px, rect.width_px, rect.height_px
    fill(canvas, Rect(x_px, y_px, width_px, thickness_px), colour)
    fill(canvas, Rect(x_px, y_px + height_px - thickness_px, width_px, thickness_px), colour)
    fill(canvas, Rect(x_px, y_px, thickness_px, height_px), colour)
    fill(canvas, Rect(x_px + width_px - thickness_px, y_px, thickness_px, height_px), colour)


def paste(canvas: Frame, sprite: Sprite, x_px: int, y_px: int) -> None:
    """Draw a sprite with its top left corner at a point, which may lie outside."""
    height_px, width_px = sprite.mask.shape
    left_px, top_px = max(0, -x_px), max(0, -y_px)
    right_px = min(width_px, canvas.shape[1] - x_px)
    bottom_px = min(height_px, canvas.shape[0] - y_px)
    if left_px >= right_px or top_px >= bottom_px:
        return
    part = (slice(top_px, bottom_px), slice(left_px, right_px))
    target = canvas[y_px + top_px : y_px + bottom_px, x_px + left_px : x_px + right_px]
    np.copyto(target, sprite.pixels[part], where=sprite.mask[part][..., None])


def blit(canvas: Frame, picture: Frame, x_px: int, y_px: int) -> None:
    """Copy a whole picture to a place where it fits."""
    height_px, width_px = picture.shape[:2]
    canvas[y_px : y_px + height_px, x_px : x_px + width_px] = picture


def write(canvas: Frame, x_px: int, y_px: int, text: str, colour: Colour, scale: int = 1) -> None:
    """Write a line of text with its top left corner at a point."""
    mask = text_mask(text, scale)
    pixels = np.broadcast_to(np.array(colour, dtype=np.uint8), (*mask.shape, 3))
    paste(canvas, Sprite(pixels, mask), x_px, y_px)


def write_centred(canvas: Frame, rect: Rect, text: str, colour: Colour, scale: int = 1) -> None:
    """Write a line of text in the middle of a rectangle."""
    x_px = rect.x_px + (rect.width_px - text_width_px(text, scale)) // 2
    y_px = rect.y_px + (rect.height_px - GLYPH_HEIGHT_PX * scale) // 2
    write(canvas, x_px, y_px, text, colour, scale)
