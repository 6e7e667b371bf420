"""Icons and wallpaper of the real desktop, drawn here so that they look the same everywhere."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

_SCALE = 4
"""Drawn so many times larger and shrunk: smooth edges."""

ICONS = ("home", "trash", "terminal", "browser", "folder", "file")


@cache
def icon_png(name: str, size_px: int) -> bytes:
    """Return one of ``ICONS`` as a PNG of size_px x size_px with transparency."""
    side = size_px * _SCALE
    image = Image.new("RGBA", (side, side))
    _DRAW[name](ImageDraw.Draw(image), side / 32)
    return _png(image.resize((size_px, size_px), Image.Resampling.BOX))


@cache
def icon_rgba(name: str, size_px: int) -> npt.NDArray[np.int64]:
    """Return one of ``ICONS`` as pixels: (size_px, size_px, 4), 0 to 255."""
    return np.asarray(Image.open(io.BytesIO(icon_png(name, size_px)))).astype(np.int64)


@cache
def wallpaper_png(width_px: int, height_px: int) -> bytes:
    """Return a quiet wallpaper: a sky over two hills."""
    image = Image.new("RGB", (width_px, height_px))
    draw = ImageDraw.Draw(image)
    for y_px in range(height_px):
        # Bands, not a smooth gradient: still pictures of few colours.
        band = y_px * 16 // height_px
        draw.line([(0, y_px), (width_px, y_px)], (60 + 5 * band, 110 + 5 * band, 165 + 4 * band))
    w, h = width_px, height_px
    draw.ellipse([-0.3 * w, 0.78 * h, 0.75 * w, 1.6 * h], (86, 148, 108))
    draw.ellipse([0.35 * w, 0.84 * h, 1.4 * w, 1.7 * h], (66, 124, 92))
    return _png(image)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _box(draw: ImageDraw.ImageDraw, u: float, xy: tuple[float, ...], **style: object) -> None:
    x0, y0, x1, y1 = (v * u for v in xy)
    draw.rounded_rectangle((x0, y0, x1, y1), radius=1.6 * u, **style)  # type: ignore[arg-type]


def _poly(
    draw: ImageDraw.ImageDraw, u: float, points: list[tuple[float, float]], fill: str
) -> None:
    draw.polygon([(x * u, y * u) for x, y in points], fill=fill)


def _home(draw: ImageDraw.ImageDraw, u: float) -> None:
    _box(draw, u, (7, 14, 25, 29), fill="#e9e2d0", outline="#6b5d3f", width=int(u))
    _poly(draw, u, [(16, 2), (30, 16), (2, 16)], "#b5483a")
    _box(draw, u, (13, 19, 19, 29), fill="#7a5a32")


def _trash(draw: ImageDraw.ImageDraw, u: float) -> None:
    _box(draw, u, (8, 9, 24, 30), fill="#8d979e", outline="#4c555b", width=int(u))
    _box(draw, u, (5, 5, 27, 9), fill="#a9b3ba", outline="#4c555b", width=int(u))
    for x in (12, 16, 20):
        draw.line([(x * u, 13 * u), (x * u, 26 * u)], fill="#4c555b", width=int(1.4 * u))


def _terminal(draw: ImageDraw.ImageDraw, u: float) -> None:
    _box(draw, u, (2, 4, 30, 28), fill="#20262b", outline="#9aa3a8", width=int(1.6 * u))
    for a, b in (((7, 10), (12, 14)), ((12, 14), (7, 18))):
        draw.line([(a[0] * u, a[1] * u), (b[0] * u, b[1] * u)], fill="#8fe388", width=int(2 * u))
    draw.line([(14 * u, 19 * u), (21 * u, 19 * u)], fill="#8fe388", width=int(2 * u))


def _browser(draw: ImageDraw.ImageDraw, u: float) -> None:
    draw.ellipse([2 * u, 2 * u, 30 * u, 30 * u], fill="#3f7fd0", outline="#1d4177", width=int(u))
    draw.ellipse([10 * u, 2 * u, 22 * u, 30 * u], outline="#d7e6fa", width=int(1.4 * u))
    for y in (10, 16, 22):
        half = (14 * 14 - (16 - y) ** 2) ** 0.5
        draw.line(
            [((16 - half) * u, y * u), ((16 + half) * u, y * u)], fill="#d7e6fa", width=int(1.4 * u)
        )


def _folder(draw: ImageDraw.ImageDraw, u: float) -> None:
    _box(draw, u, (2, 6, 15, 14), fill="#c9962f")
    _box(draw, u, (2, 9, 30, 27), fill="#f0c14b", outline="#a87a1f", width=int(u))


def _file(draw: ImageDraw.ImageDraw, u: float) -> None:
    _box(draw, u, (6, 2, 26, 30), fill="#ffffff", outline="#7b8288", width=int(u))
    for y in (9, 14, 19, 24):
        draw.line([(10 * u, y * u), (22 * u, y * u)], fill="#9aa3a8", width=int(1.4 * u))


_DRAW = {
    "home": _home,
    "trash": _trash,
    "terminal": _terminal,
    "browser": _browser,
    "folder": _folder,
    "file": _file,
}
