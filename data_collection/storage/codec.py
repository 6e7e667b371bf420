"""A clip as bytes and back: lossless, checksummed, decoded within bounds.

Layout, little-endian (``docs/data.md`` has every byte)::

    head    magic, version, pixel codec, frames, height, width, bytes of meta, of pixels
    meta    zstd of JSON: trace, seq, first frame, times, events, state
    pixels  as ``pixels.py`` says, by the codec in the head
    crc     CRC32 of everything before it
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from data_collection.action import Action, fold
from data_collection.events import Event, event_from_json, event_to_json
from data_collection.storage.changes import Band, changed_bands
from data_collection.storage.clip_corrupt import ClipCorrupt as ClipCorrupt
from data_collection.storage.pixels import (
    LEVEL,
    PixelCodec,
    decode_pixels,
    decompress,
    encode_pixels,
)
from data_collection.strict_json import parse_json
from data_collection.trace import Clip, TraceHeader

MAGIC = b"NCLP"
VERSION = 2
_READABLE = (1, 2)
"""Version 1 has no pixel codec: each frame is stored XOR the one before."""

_HEAD = struct.Struct("<4sHHIIIII")
_CRC = struct.Struct("<I")
_META_KEYS = {"trace_id", "seq", "first_frame", "t_mono_ns", "events", "state"}


@dataclass(frozen=True, slots=True)
class ClipLimits:
    """What a decoder is willing to allocate for one clip."""

    frames: int = 120
    width_px: int = 4096
    height_px: int = 4096
    pixel_bytes: int = 256 * 2**20
    meta_bytes: int = 4 * 2**20
    body_bytes: int = 64 * 2**20

    @classmethod
    def of_header(cls, header: TraceHeader) -> ClipLimits:
        """Return the limits of a trace: its screen, and one second of frames."""
        return cls(frames=header.fps, width_px=header.width_px, height_px=header.height_px)


DEFAULT_LIMITS = ClipLimits()


def encode_clip(clip: Clip) -> bytes:
    """Return the clip's body.

    Args:
        clip: frames (N, height, width, 3), N ≥ 1, with times, events and state.

    Raises:
        ValueError: the frames are not N ≥ 1 RGB pictures of uint8, or the state holds a
            number that JSON cannot say.
    """
    frames = clip.frames
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}, not uint8 (N, H, W, 3)")
    text = json.dumps(_meta(clip), separators=(",", ":"), allow_nan=False)
    meta = zstandard.ZstdCompressor(level=LEVEL).compress(text.encode())
    codec, pixels = encode_pixels(frames)
    count, height, width, _ = frames.shape
    head = _HEAD.pack(MAGIC, VERSION, codec, count, height, width, len(meta), len(pixels))
    crc = zlib.crc32(pixels, zlib.crc32(meta, zlib.crc32(head)))
    return b"".join((head, meta, pixels, _CRC.pack(crc)))


@dataclass(frozen=True, slots=True)
class ClipMeta:
    """What a body says of its clip apart from the pixels; sizes in pixels."""

    trace_id: str
    seq: int
    first_frame: int
    width_px: int
    height_px: int
    t_mono_ns: tuple[int, ...]
    events: tuple[tuple[Event, ...], ...]
    state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Parts:
    codec: int
    shape: tuple[int, int, int, int]
    meta: bytes
    pixels: bytes


def decode_clip(body: bytes, limits: ClipLimits = DEFAULT_LIMITS) -> Clip:
    """Return the clip of a body, allocating no more than ``limits`` allow.

    Raises:
        ClipCorrupt: the body is damaged, of another version, or outside the limits.
    """
    parts = _parts(body, limits)
    meta = _meta_of(parts, limits)
    return Clip(
        trace_id=meta.trace_id,
        seq=meta.seq,
        first_frame=meta.first_frame,
        frames=decode_pixels(parts.codec, parts.pixels, parts.shape),
        t_mono_ns=meta.t_mono_ns,
        events=meta.events,
        state=meta.state,
    )


def decode_meta(body: bytes, limits: ClipLimits = DEFAULT_LIMITS) -> ClipMeta:
    """Return all of a body but its pixels, which are checked by the checksum alone.

    Raises:
        ClipCorrupt: as ``decode_clip``.
    """
    return _meta_of(_parts(body, limits), limits)


def decode_frames(
    body: bytes,
    first: int = 0,
    end: int | None = None,
    out: npt.NDArray[np.uint8] | None = None,
    limits: ClipLimits = DEFAULT_LIMITS,
) -> npt.NDArray[np.uint8]:
    """Return a body's frames ``first`` to ``end`` (excluded) alone: (N, height, width, 3).

    Args:
        body: the body.
        first: the first frame wanted.
        end: the frame after the last one wanted.
        out: where to put them; a new array if not given.
        limits: what to allocate at most.

    Raises:
        ClipCorrupt: as ``decode_clip``, or the frames do not fit ``out``.
    """
    parts = _parts(body, limits)
    stop = parts.shape[0] if end is None else min(end, parts.shape[0])
    if out is not None and out.shape != (stop - first, *parts.shape[1:]):
        raise ClipCorrupt("frames", f"{stop - first} frames of {parts.shape[1:]}, not {out.shape}")
    return decode_pixels(parts.codec, parts.pixels, parts.shape, first, end, out)


def frame_shape(body: bytes) -> tuple[int, int, int]:
    """Return (height, width, 3) of a body's frames, as its head says.

    Raises:
        ClipCorrupt: the bytes are shorter than a head, or name no size.
    """
    if len(body) < _HEAD.size:
        raise ClipCorrupt("length", f"{len(body)} bytes")
    _, _, _, count, height, width, _, _ = _HEAD.unpack_from(body)
    _check_size(count, height, width, DEFAULT_LIMITS)
    return height, width, 3


def body_sha(body: bytes) -> str:
    """Return the SHA-256 of a clip's body in hex: what makes a second put idempotent."""
    return hashlib.sha256(body).hexdigest()


def content_sha(clip: Clip, bands: Sequence[Band] | None = None) -> str:
    """Return the SHA-256 over frames and folded actions: equal content, equal hash.

    Times, ids and the state play no part, so that the same second recorded twice is
    found. Actions are folded from rest.

    Args:
        clip: the clip.
        bands: what ``changed_bands`` says of its frames, if it was asked already.
    """
    frames = clip.frames
    # The first frame and what changes after it are the frames, in fewer bytes.
    bands = changed_bands(frames) if bands is None else bands
    digest = hashlib.sha256(repr((frames.shape, [tuple(band) for band in bands])).encode())
    digest.update(np.ascontiguousarray(frames[0]).data)
    for band in bands:
        digest.update(band.of(frames).tobytes())
    action = Action()
    for group in clip.events:
        action = fold(group, action)
        held = (sorted(action.keys), sorted(action.keys_held))
        pointer = (action.x_px, action.y_px, action.held, action.clicked, action.wheel_dy)
        digest.update(repr((pointer, held)).encode())
    return digest.hexdigest()


def clip_weight(clip: Clip, bands: Sequence[Band] | None = None) -> int:
    """Return the sampling weight of a clip of a real desktop; 0 where it is redacted."""
    return 0 if clip.redacted else sampling_weight(clip.frames, bands)


def sampling_weight(frames: npt.NDArray[np.uint8], bands: Sequence[Band] | None = None) -> int:
    """Return 1 for still frames up to 8 for those that change a lot, exactly.

    Args:
        frames: (N, height, width, 3).
        bands: what ``changed_bands`` says of them, if it was asked already.

    Returns:
        1 if no pixel changes between consecutive frames; else 2, plus one for each of
        1/1024, 1/512 … 1/32 that the fraction of changed pixels reaches.
    """
    compared_px: int = (len(frames) - 1) * frames.shape[1] * frames.shape[2]
    changed_px = 0
    for band in changed_bands(frames) if bands is None else bands:
        differs = band.of(frames) != band.before(frames)
        changed_px += int(np.count_nonzero(differs[..., 0] | differs[..., 1] | differs[..., 2]))
    if changed_px == 0:
        return 1
    return 2 + sum(changed_px << power >= compared_px for power in range(5, 11))


def _meta(clip: Clip) -> dict[str, Any]:
    return {
        "trace_id": clip.trace_id,
        "seq": clip.seq,
        "first_frame": clip.first_frame,
        "t_mono_ns": clip.t_mono_ns,
        "events": [[event_to_json(event) for event in group] for group in clip.events],
        "state": clip.state,
    }


def _parts(body: bytes, limits: ClipLimits) -> _Parts:
    """Check a body's checksum, head and sizes; return its parts, still compressed."""
    if not _HEAD.size + _CRC.size <= len(body) <= limits.body_bytes:
        raise ClipCorrupt("length", f"{len(body)} bytes")
    magic, version, codec, count, height, width, meta_size, pixels_size = _HEAD.unpack_from(body)
    if magic != MAGIC:
        raise ClipCorrupt("magic", "these bytes are no clip")
    if zlib.crc32(memoryview(body)[: -_CRC.size]) != _CRC.unpack_from(body, len(body) - 4)[0]:
        raise ClipCorrupt("crc", "the bytes do not match their checksum")
    if version not in _READABLE or (version == 1 and codec):
        raise ClipCorrupt("version", f"format {version}, this reader knows up to {VERSION}")
    if _HEAD.size + meta_size + pixels_size + _CRC.size != len(body):
        raise ClipCorrupt("length", "the parts do not add up to the body")
    _check_size(count, height, width, limits)
    pixels_at = _HEAD.size + meta_size
    return _Parts(
        PixelCodec.XOR if version == 1 else codec,
        (count, height, width, 3),
        body[_HEAD.size : pixels_at],
        body[pixels_at : pixels_at + pixels_size],
    )


def _check_size(count: int, height: int, width: int, limits: ClipLimits) -> None:
    if not 1 <= count <= limits.frames:
        raise ClipCorrupt("frames", f"{count} frames, at most {limits.frames}")
    if not (1 <= height <= limits.height_px and 1 <= width <= limits.width_px):
        raise ClipCorrupt("screen", f"{width}x{height} pixels")
    if count * height * width * 3 > limits.pixel_bytes:
        raise ClipCorrupt("frames", f"{count} frames of {width}x{height} are too many bytes")


def _meta_of(parts: _Parts, limits: ClipLimits) -> ClipMeta:
    try:
        meta = parse_json(decompress(parts.meta, None, limits.meta_bytes))
        if set(meta) != _META_KEYS:
            raise ValueError("other keys than a clip's")
        trace_id, state = meta["trace_id"], meta["state"]
        if not isinstance(trace_id, str) or not isinstance(state, dict):
            raise TypeError("trace_id is no text or state no object")
        times = tuple(_integer(t) for t in meta["t_mono_ns"])
        events = tuple(_events(group) for group in meta["events"])
        if not parts.shape[0] == len(times) == len(events):
            raise ValueError(f"{parts.shape[0]} frames, {len(times)} times, {len(events)} groups")
        return ClipMeta(
            trace_id=trace_id,
            seq=_integer(meta["seq"]),
            first_frame=_integer(meta["first_frame"]),
            width_px=parts.shape[2],
            height_px=parts.shape[1],
            t_mono_ns=times,
            events=events,
            state=state,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ClipCorrupt("meta", f"{type(error).__name__}: {error}"[:200]) from None


def _events(group: Any) -> tuple[Event, ...]:
    return tuple(event_from_json(event) for event in group)


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise TypeError(f"{value!r} is no 64-bit integer")
    return int(value)
