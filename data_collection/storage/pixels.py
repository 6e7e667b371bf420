"""The frames of a clip as compressed bytes and back, lossless, in one of two codecs.

*Bands*, for user interfaces: the first frame and, of each later one, the rectangles that
changed, as they are; so a pointer that moves on uncovers bytes that zstd has seen before.

*Gradient*, for photographs and video, where most pixels change: every frame as the
differences from the pixels above and to the left, by colour plane. The first codec is
tried first, the second where the first barely compresses, and kept where it is smaller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import zstandard

from data_collection.storage.changes import BAND_ROWS, Band, changed_bands
from data_collection.storage.clip_corrupt import ClipCorrupt

Frames = npt.NDArray[np.uint8]
Shape = tuple[int, int, int, int]

LEVEL = 7
"""For what is small, as nearly all clips are; larger ones get a quick level."""
_QUICK_LEVEL = 3
_QUICK_FROM_BYTES = 2 * 2**20
_WINDOW_LOG = 24
"""Sixteen megabytes, so that a scrolled picture is found in the frames before."""
_POOR_FROM_BYTES_PER_PIXEL = 0.1
_GRADIENT_PAYS_BELOW = 0.95
_BAND_FIELDS = 4
_COUNT_BYTES = 4


class PixelCodec(IntEnum):
    """How a body's pixels are stored; the number stands in its head."""

    XOR = 0
    """Each frame XOR the one before: bodies of version 1, only read."""
    BANDS = 1
    GRADIENT = 2


def encode_pixels(frames: Frames) -> tuple[PixelCodec, bytes]:
    """Return the codec chosen and the compressed pixels of frames (N, height, width, 3)."""
    bands = _encode_bands(frames, changed_bands(frames))
    if len(bands) < _POOR_FROM_BYTES_PER_PIXEL * (frames.size // 3):
        return PixelCodec.BANDS, bands
    gradient = _encode_gradient(frames)
    # It reads several times more slowly: that must pay.
    if len(gradient) < _GRADIENT_PAYS_BELOW * len(bands):
        return PixelCodec.GRADIENT, gradient
    return PixelCodec.BANDS, bands


def decode_pixels(
    codec: int,
    data: bytes,
    shape: Shape,
    first: int = 0,
    end: int | None = None,
    out: Frames | None = None,
) -> Frames:
    """Return frames ``first`` to ``end`` (excluded) of compressed pixels.

    What is allocated follows from ``shape`` alone, which the caller has bounded.

    Args:
        codec: a ``PixelCodec``.
        data: the compressed pixels.
        shape: of all frames of the clip, (N, height, width, 3).
        first: the first frame wanted.
        end: the frame after the last one wanted; all from ``first`` on if not given.
        out: where to put them, (end - first, height, width, 3); a new array if not given.

    Raises:
        ClipCorrupt: the data are damaged, of an unknown codec, or not of this shape.
    """
    stop = shape[0] if end is None else min(end, shape[0])
    frames = np.empty((stop - first, *shape[1:]), np.uint8) if out is None else out
    if codec == PixelCodec.BANDS:
        _decode_bands(data, shape, first, frames)
    elif codec == PixelCodec.GRADIENT:
        _decode_gradient(data, shape, first, frames)
    elif codec == PixelCodec.XOR:
        _decode_xor(data, shape, first, frames)
    else:
        raise _unknown(codec)
    return frames


def _unknown(codec: int) -> ClipCorrupt:
    return ClipCorrupt("codec", f"pixel codec {codec} is unknown: a newer version wrote this clip")


def decompress(data: bytes, size: int | None, limit: int) -> bytes:
    """Decompress one zstd frame whose declared size is ``size``, or anything to ``limit``.

    Raises:
        ClipCorrupt: the data are no such frame.
    """
    try:
        # The declared size decides the allocation, so it is checked before.
        declared = zstandard.get_frame_parameters(data).content_size
        if declared > limit or (size is not None and declared != size):
            raise ClipCorrupt("inflated_size", f"{declared} bytes declared")
        return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ClipCorrupt("zstd", str(error)) from None


def _compress(parts: Sequence[bytes | memoryview]) -> bytes:
    size = sum(len(part) for part in parts)
    if size <= _QUICK_FROM_BYTES:
        return zstandard.ZstdCompressor(level=LEVEL).compress(b"".join(parts))
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _QUICK_LEVEL, window_log=_WINDOW_LOG
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(b"".join(parts))


def _encode_bands(frames: Frames, bands: Sequence[Band]) -> bytes:
    table = np.array([(b.frame, b.y, b.x, b.x_end) for b in bands], "<u2")
    head = len(bands).to_bytes(_COUNT_BYTES, "little") + table.T.tobytes()
    return _compress([head, frames[0].tobytes(), *(band.of(frames).tobytes() for band in bands)])


def _decode_bands(data: bytes, shape: Shape, first: int, frames: Frames) -> None:
    count, height, width, _ = shape
    key_bytes = height * width * 3
    most_bands = (count - 1) * -(-height // BAND_ROWS)
    limit = _COUNT_BYTES + most_bands * _BAND_FIELDS * 2 + count * key_bytes
    raw = decompress(data, None, limit)
    number = int.from_bytes(raw[:_COUNT_BYTES], "little")
    key_at = _COUNT_BYTES + number * _BAND_FIELDS * 2
    if number > most_bands or key_at + key_bytes > len(raw):
        raise ClipCorrupt("bands", f"{number} bands in {len(raw)} bytes")
    table = np.frombuffer(raw, "<u2", number * _BAND_FIELDS, _COUNT_BYTES)
    table = table.reshape(_BAND_FIELDS, number).astype(np.int64)
    bands = list(_checked_bands(table, shape))
    if key_at + key_bytes + sum(band.size_bytes for band in bands) != len(raw):
        raise ClipCorrupt("bands", "the bands and their pixels do not add up")
    content = np.frombuffer(raw, np.uint8)
    current = content[key_at : key_at + key_bytes].reshape(height, width, 3).copy()
    at = key_at + key_bytes
    following = iter(bands)
    band = next(following, None)
    for frame in range(first + len(frames)):
        while band is not None and band.frame == frame:
            pixels = content[at : at + band.size_bytes]
            current[band.y : band.y_end, band.x : band.x_end] = pixels.reshape(
                band.y_end - band.y, band.x_end - band.x, 3
            )
            at += band.size_bytes
            band = next(following, None)
        if frame >= first:
            frames[frame - first] = current


def _checked_bands(table: npt.NDArray[np.int64], shape: Shape) -> Iterator[Band]:
    count, height, width, _ = shape
    frame, y, x, x_end = table
    place = frame * height + y
    is_sound = (
        (frame >= 1).all()
        and (frame < count).all()
        and (y < height).all()
        and (y % BAND_ROWS == 0).all()
        and (x < x_end).all()
        and (x_end <= width).all()
        and (np.diff(place) > 0).all()
    )
    if not is_sound:
        raise ClipCorrupt("bands", "a band lies outside its frame, or out of order")
    for fields in table.T.tolist():
        frame_index, top, left, right = fields
        yield Band(frame_index, top, min(top + BAND_ROWS, height), left, right)


def _encode_gradient(frames: Frames) -> bytes:
    """Predict each pixel from those above and to the left, all arithmetic modulo 256."""
    planes = frames.transpose(0, 3, 1, 2).copy(order="C")
    # Red and blue go with green nearly everywhere.
    planes[:, 0] -= planes[:, 1]
    planes[:, 2] -= planes[:, 1]
    planes[:, :, :, 1:] -= planes[:, :, :, :-1].copy()
    planes[:, :, 1:] -= planes[:, :, :-1].copy()
    return _compress([planes.tobytes()])


def _decode_gradient(data: bytes, shape: Shape, first: int, frames: Frames) -> None:
    count, height, width, _ = shape
    size = count * height * width * 3
    raw = np.frombuffer(decompress(data, size, size), np.uint8).reshape(count, 3, height, width)
    for frame in range(first, first + len(frames)):
        planes = raw[frame].copy()
        # Line by line, in a layout where lines lie together, is twice as fast as
        # ``np.add.accumulate`` over bytes.
        for row in range(1, height):
            planes[:, row] += planes[:, row - 1]
        columns = planes.transpose(2, 0, 1).copy()
        for column in range(1, width):
            columns[column] += columns[column - 1]
        columns[:, 0] += columns[:, 1]
        columns[:, 2] += columns[:, 1]
        frames[frame - first] = columns.transpose(2, 0, 1)


def _decode_xor(data: bytes, shape: Shape, first: int, frames: Frames) -> None:
    size = shape[0] * shape[1] * shape[2] * 3
    delta = np.frombuffer(decompress(data, size, size), np.uint8).reshape(shape)
    current = np.zeros(shape[1:], np.uint8)
    for frame in range(first + len(frames)):
        np.bitwise_xor(current, delta[frame], out=current)
        if frame >= first:
            frames[frame - first] = current
