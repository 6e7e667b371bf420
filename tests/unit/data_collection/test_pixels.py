from __future__ import annotations

import json
import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from trace_samples import sample_clip

from data_collection.storage import codec
from data_collection.storage.changes import changed_bands
from data_collection.storage.codec import (
    ClipCorrupt,
    content_sha,
    decode_clip,
    decode_frames,
    sampling_weight,
)
from data_collection.storage.pixels import PixelCodec, decode_pixels, encode_pixels

Frames = npt.NDArray[np.uint8]

sizes = st.tuples(st.integers(1, 4), st.integers(1, 40), st.integers(1, 40), st.just(3))
pictures = sizes.flatmap(
    lambda shape: hnp.arrays(np.uint8, shape, elements=st.integers(0, 255), fill=st.just(7))
)


@settings(max_examples=80, deadline=None)
@given(pictures, st.data())
def test_any_frames_come_back_whole_and_in_part(frames: Frames, data: st.DataObject) -> None:
    before = frames.copy()
    used, packed = encode_pixels(frames)
    np.testing.assert_array_equal(frames, before)
    first = data.draw(st.integers(0, len(frames) - 1))
    end = data.draw(st.integers(first + 1, len(frames)))
    np.testing.assert_array_equal(decode_pixels(used, packed, frames.shape), frames)
    part = decode_pixels(used, packed, frames.shape, first, end)
    np.testing.assert_array_equal(part, frames[first:end])


@settings(max_examples=80, deadline=None)
@given(pictures)
def test_bands_hold_every_change_and_begin_where_they_may(frames: Frames) -> None:
    bands = changed_bands(frames)
    rebuilt = np.repeat(frames[:1], len(frames), axis=0)
    for band in bands:
        rebuilt[band.frame :, band.y : band.y_end, band.x : band.x_end] = band.of(frames)
        assert (band.y % 16, band.x % 8) == (0, 0)
        assert (band.of(frames) != band.before(frames)).any()
    np.testing.assert_array_equal(rebuilt, frames)
    assert bands == sorted(bands)


def photograph(count: int) -> Frames:
    """Return a smooth picture with grain that pans: what bands barely compress."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:64, 0 : 96 + count]
    picture = np.stack([128 + 90 * np.sin(x / 17 + y / 23 + c) for c in range(3)], axis=-1)
    frames = np.stack([picture[:, i : i + 96] for i in range(count)])
    grain = rng.integers(-2, 3, (count, 64, 96, 1))
    return (frames + grain).clip(0, 255).astype(np.uint8)


def test_photographs_get_the_other_codec_and_come_back() -> None:
    frames = photograph(6)
    used, packed = encode_pixels(frames)
    assert used is PixelCodec.GRADIENT
    assert len(packed) < frames.size * 0.6
    np.testing.assert_array_equal(decode_pixels(used, packed, frames.shape), frames)
    np.testing.assert_array_equal(decode_pixels(used, packed, frames.shape, 2, 4), frames[2:4])
    assert encode_pixels(sample_clip().frames)[0] is PixelCodec.BANDS


def forged(version: int, used: int, pixels: bytes, shape: tuple[int, ...] = (2, 4, 4, 3)) -> bytes:
    meta = {"trace_id": "a", "seq": 0, "first_frame": 0, "state": {}}
    meta |= {"t_mono_ns": [1] * shape[0], "events": [[]] * shape[0]}
    text = squeezed(json.dumps(meta).encode())
    sizes = (*shape[:3], len(text), len(pixels))
    content = codec._HEAD.pack(b"NCLP", version, used, *sizes) + text + pixels
    return content + codec._CRC.pack(zlib.crc32(content))


def squeezed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def test_bodies_of_version_1_are_still_read() -> None:
    frames = sample_clip().frames
    delta = frames.copy()
    delta[1:] ^= frames[:-1]
    body = forged(1, 0, squeezed(delta.tobytes()), frames.shape)
    np.testing.assert_array_equal(decode_clip(body).frames, frames)
    np.testing.assert_array_equal(decode_frames(body, 2, 4), frames[2:4])


def bands(*table: tuple[int, int, int, int], content: int = 0, number: int | None = None) -> bytes:
    """Return a two-frame body of 4 x 4 pixels with such bands and so many bytes of them."""
    count = len(table) if number is None else number
    head = count.to_bytes(4, "little") + np.array(table, "<u2").T.tobytes()
    return forged(2, 1, squeezed(head + bytes(48) + bytes(content)))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (bands(), ""),
        (bands((1, 0, 0, 4), content=48), ""),
        (bands((1, 0, 1, 3), content=24), ""),
        (bands((1, 0, 0, 4), content=47), "bands"),
        (bands((1, 0, 0, 4), content=49), "inflated_size"),
        (bands((0, 0, 0, 4), content=48), "bands"),
        (bands((2, 0, 0, 4), content=48), "bands"),
        (bands((1, 0, 0, 5), content=48), "bands"),
        (bands((1, 0, 3, 2), content=48), "bands"),
        (bands((1, 0, 65535, 0), content=48), "bands"),
        (bands((1, 16, 0, 4), content=48), "bands"),
        (bands((1, 2, 0, 4), content=24), "bands"),
        (bands((1, 0, 0, 1), (1, 0, 0, 1), content=24), "bands"),
        (bands(number=2**32 - 1), "bands"),
        (bands(number=1), "bands"),
        (forged(2, 1, squeezed(b"")), "bands"),
        (forged(2, 1, squeezed(bytes(10**6))), "inflated_size"),
        (forged(2, 2, squeezed(bytes(95))), "inflated_size"),
        (forged(2, 2, squeezed(bytes(96))), ""),
        (forged(2, 0, squeezed(bytes(96))), ""),
        (forged(2, 3, squeezed(bytes(96))), "codec"),
        (forged(1, 0, squeezed(bytes(96))), ""),
        (forged(1, 7, squeezed(bytes(96))), "version"),
    ],
)
def test_forged_pixels_are_refused_by_name(body: bytes, code: str) -> None:
    if code == "":
        assert not decode_clip(body).frames.any()
        return
    with pytest.raises(ClipCorrupt) as caught:
        decode_clip(body)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "change",
    [
        lambda frames: frames.__setitem__((0, 0, 0, 0), 1),
        lambda frames: frames.__setitem__((3, 15, 23, 2), 1),
        lambda frames: frames.__setitem__((slice(1, 3), 4, 4), frames[2:0:-1, 4, 4].copy()),
    ],
)
def test_other_pixels_have_another_hash(change: Callable[[Frames], None]) -> None:
    clip, other = sample_clip(), sample_clip()
    assert content_sha(clip) == content_sha(other)
    change(other.frames)
    assert content_sha(clip) != content_sha(other)


def test_the_weight_counts_changed_pixels_exactly() -> None:
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    assert sampling_weight(frames) == 1
    for changed_px, weight in ((1, 2), (3, 2), (4, 3), (127, 7), (128, 8)):
        frames[1] = 0
        frames[1].reshape(-1, 3)[:changed_px] = (0, 0, 9)
        assert sampling_weight(frames) == weight
