"""A contact sheet: a row of frames of each trace, with a line that says what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_collection.storage.store import TraceStore, read_clip
from data_collection.trace import ClipRow, ClipState, Frame

COLUMNS = 6
_CELL_PX = 256
_GAP_PX = 6
_CAPTION_PX = 22
_PAPER = (250, 250, 248)
_INK = (40, 40, 40)


def write_sheet(
    path: Path, store: TraceStore, traces: Sequence[tuple[str, str]], columns: int = COLUMNS
) -> bool:
    """Draw a contact sheet of traces of a store.

    Args:
        path: the PNG to write; its folder is made.
        store: where the traces are.
        traces: id and caption of each.
        columns: frames a trace, evenly spaced from its first to its last.

    Returns:
        Whether there was anything to draw.

    Raises:
        ClipCorrupt: a clip's bytes are damaged.
    """
    rows = []
    for trace_id, caption in traces:
        frames = evenly_spaced(store.root, store.index.trace_rows(trace_id), columns)
        if frames:
            rows.append((f"{trace_id}:  {caption}" if caption else trace_id, frames))
    if not rows:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_sheet(rows, columns).save(path, optimize=True)
    return True


def evenly_spaced(root: Path, rows: Sequence[ClipRow], count: int) -> list[Frame]:
    """Return ``count`` frames of a trace, the first and the last among them."""
    rows = [row for row in rows if row.state is ClipState.COMMITTED]
    total = sum(row.frames for row in rows)
    if not total:
        return []
    wanted = [int(index) for index in np.linspace(0, total - 1, min(count, total)).round()]
    frames: list[Frame] = []
    before = 0
    for row in rows:
        inside = [index - before for index in wanted if before <= index < before + row.frames]
        if inside:
            clip = read_clip(root, row)
            frames += [clip.frames[index] for index in inside]
        before += row.frames
    return frames


def draw_sheet(rows: Sequence[tuple[str, Sequence[Frame]]], columns: int) -> Image.Image:
    """Return the sheet.

    Args:
        rows: the caption and the frames (height, width, 3) of each row.
        columns: how many frames a row has room for.
    """
    height_px, width_px, _ = rows[0][1][0].shape
    cell = (_CELL_PX, round(_CELL_PX * height_px / width_px))
    row_px = _CAPTION_PX + cell[1] + _GAP_PX
    size = (columns * (cell[0] + _GAP_PX) + _GAP_PX, len(rows) * row_px + _GAP_PX)
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for number, (caption, frames) in enumerate(rows):
        top_px = number * row_px + _GAP_PX
        pen.text((_GAP_PX, top_px + 2), _fitting(pen, caption, font, size[0]), _INK, font)
        for column, frame in enumerate(frames):
            picture = Image.fromarray(frame).resize(cell, Image.Resampling.LANCZOS)
            sheet.paste(picture, (_GAP_PX + column * (cell[0] + _GAP_PX), top_px + _CAPTION_PX))
    return sheet


def _fitting(
    pen: ImageDraw.ImageDraw,
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    width_px: int,
) -> str:
    """Return the text, cut with an ellipsis where the sheet is too narrow."""
    room_px = width_px - 2 * _GAP_PX
    if pen.textlength(text, font) <= room_px:
        return text
    while text and pen.textlength(text + " …", font) > room_px:
        text = text[:-1]
    return text + " …"
