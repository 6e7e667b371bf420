from __future__ import annotations

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from trace_samples import sample_clip

from data_collection.events import (
    Button,
    ButtonChanged,
    KeyChanged,
    Marker,
    PointerMoved,
    TextTyped,
    WheelTurned,
)
from data_collection.storage import codec
from data_collection.storage.codec import ClipCorrupt, ClipLimits, decode_clip, encode_clip
from data_collection.trace import Clip

small = st.integers(0, 500)
events = st.one_of(
    st.builds(PointerMoved, small, small, small, small),
    st.builds(ButtonChanged, st.sampled_from(Button), st.booleans(), small, small, small),
    st.builds(WheelTurned, small, small),
    st.builds(KeyChanged, small, st.text(max_size=4), st.booleans()),
    st.builds(TextTyped, st.text(max_size=4)),
    st.builds(Marker, st.text(max_size=4), st.text(max_size=4)),
)


@st.composite
def clips(draw: st.DrawFn) -> Clip:
    count, height, width = (draw(st.integers(1, 5)) for _ in range(3))
    groups = st.lists(events, max_size=3).map(tuple)
    return Clip(
        trace_id=draw(st.text(max_size=5)),
        seq=draw(small),
        first_frame=draw(small),
        frames=draw(hnp.arrays(np.uint8, (count, height, width, 3))),
        t_mono_ns=tuple(draw(st.lists(small, min_size=count, max_size=count))),
        events=tuple(draw(st.lists(groups, min_size=count, max_size=count))),
        state=draw(st.dictionaries(st.text(max_size=3), small, max_size=2)),
    )


@settings(max_examples=60, deadline=None)
@given(clips())
def test_a_clip_survives_the_round_trip(clip: Clip) -> None:
    back = decode_clip(encode_clip(clip))
    np.testing.assert_array_equal(back.frames, clip.frames)
    assert replace(back, frames=clip.frames) == clip


def test_every_changed_byte_is_refused_by_name() -> None:
    body = encode_clip(sample_clip())
    for position in range(len(body)):
        damaged = bytearray(body)
        damaged[position] ^= 0x40
        with pytest.raises(ClipCorrupt) as caught:
            decode_clip(bytes(damaged))
        assert caught.value.code in ("magic", "crc")


def test_every_truncation_is_refused_by_name() -> None:
    body = encode_clip(sample_clip())
    for length in range(0, len(body)):
        with pytest.raises(ClipCorrupt):
            decode_clip(body[:length])


def forge(
    *, meta: bytes = b"{}", pixels: bytes = b"", count: int = 1, version: int = 1, side: int = 4
) -> bytes:
    """Return a body whose checksum is right whatever it holds."""
    head = codec._HEAD.pack(b"NCLP", version, 0, count, side, side, len(meta), len(pixels))
    content = head + meta + pixels
    return content + codec._CRC.pack(zlib.crc32(content))


def squeeze(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


META = squeeze(b'{"trace_id":"a","seq":0,"first_frame":0,"t_mono_ns":[1],"events":[[]],"state":{}}')
BOMB = squeeze(bytes(300 * 2**20))
NO_SIZE = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(48))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (forge(meta=META, pixels=BOMB), "inflated_size"),
        (forge(meta=BOMB, pixels=squeeze(bytes(48))), "inflated_size"),
        (forge(meta=META, pixels=NO_SIZE), "inflated_size"),
        (forge(meta=META, pixels=squeeze(bytes(47))), "inflated_size"),
        (forge(meta=META, pixels=squeeze(bytes(48)) + b"more"), "zstd"),
        (forge(meta=META, pixels=b"not zstd"), "zstd"),
        (forge(meta=squeeze(b"[" * 100_000), pixels=squeeze(bytes(48))), "meta"),
        (forge(meta=squeeze(b"{}"), pixels=squeeze(bytes(48))), "meta"),
        (forge(meta=squeeze(b"\xff"), pixels=squeeze(bytes(48))), "meta"),
        (forge(count=10**6), "frames"),
        (forge(count=0), "frames"),
        (forge(side=5000), "screen"),
        (forge(side=4000, count=100), "frames"),
        (forge(version=9), "version"),
    ],
)
def test_hostile_bodies_are_refused_before_they_cost_anything(body: bytes, code: str) -> None:
    with pytest.raises(ClipCorrupt) as caught:
        decode_clip(body)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "change",
    [
        {"seq": "0"},
        {"seq": True},
        {"first_frame": 2**70},
        {"t_mono_ns": [1.5]},
        {"t_mono_ns": []},
        {"events": [[{"type": "pointer_moved", "x_px": "3", "y_px": 0}]]},
        {"events": [[{"type": "pointer_moved", "x_px": True, "y_px": 0}]]},
        {"events": [[{"type": "exploded"}]]},
        {"events": [["no object"]]},
        {"state": []},
        {"trace_id": 7},
    ],
)
def test_meta_of_the_wrong_type_is_refused(change: dict[str, object]) -> None:
    meta = {"trace_id": "a", "seq": 0, "first_frame": 0, "t_mono_ns": [1], "state": {}}
    meta = {**meta, "events": [[]], **change}
    body = forge(meta=squeeze(json.dumps(meta).encode()), pixels=squeeze(bytes(48)))
    with pytest.raises(ClipCorrupt) as caught:
        decode_clip(body)
    assert caught.value.code == "meta"


@pytest.mark.parametrize("state", ['{"a":NaN}', '{"a":-Infinity}', '{"a":1,"a":2}', "[" * 9000])
def test_meta_that_readers_may_understand_differently_is_refused(state: str) -> None:
    meta = '{"trace_id":"a","seq":0,"first_frame":0,"t_mono_ns":[1],"events":[[]],"state":%s}'
    pixels = squeeze(bytes(48))
    assert decode_clip(forge(meta=squeeze((meta % "{}").encode()), pixels=pixels)).state == {}
    with pytest.raises(ClipCorrupt) as caught:
        decode_clip(forge(meta=squeeze((meta % state).encode()), pixels=pixels))
    assert caught.value.code == "meta"


def test_a_body_beyond_the_limits_of_its_trace_is_refused() -> None:
    body = encode_clip(sample_clip())
    with pytest.raises(ClipCorrupt, match="frames"):
        decode_clip(body, ClipLimits(frames=3))
    with pytest.raises(ClipCorrupt, match="screen"):
        decode_clip(body, ClipLimits(width_px=10))


def test_content_hash_sees_frames_and_actions_only() -> None:
    clip = sample_clip()
    same = replace(
        clip, trace_id="other", seq=9, state={}, t_mono_ns=tuple(t + 7 for t in clip.t_mono_ns)
    )
    assert codec.content_sha(same) == codec.content_sha(clip)
    pixels = clip.frames.copy()
    pixels[2, 3, 4, 1] ^= 1
    assert codec.content_sha(replace(clip, frames=pixels)) != codec.content_sha(clip)
    quiet = replace(clip, events=((),) * len(clip.events))
    assert codec.content_sha(quiet) != codec.content_sha(clip)


def test_weight_grows_with_the_changed_area_and_is_one_when_still() -> None:
    frames = np.zeros((3, 64, 64, 3), np.uint8)
    assert codec.sampling_weight(frames) == 1
    assert codec.sampling_weight(frames[:1]) == 1
    weights = []
    for side in (1, 2, 4, 6, 8, 12, 16, 64):
        moved = frames.copy()
        moved[1, :side, :side, 2] = 5
        weights.append(codec.sampling_weight(moved))
    assert weights == sorted(weights)
    assert weights[0] == 2
    assert weights[-1] == 8


def test_frames_that_are_no_pictures_are_no_clip() -> None:
    clip = sample_clip()
    with pytest.raises(ValueError, match="uint8"):
        encode_clip(replace(clip, frames=clip.frames.astype(np.float32)))
