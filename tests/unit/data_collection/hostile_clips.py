"""Requests that a stranger might send to ingest: good clips, and every way to spoil one."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

import zstandard
from trace_samples import FPS, HEIGHT_PX, PERIOD_NS, WIDTH_PX, sample_clip

from data_collection.storage.codec import body_sha, encode_clip

TRACES = 4
GOOD_CLIPS = 40
"""How many clips each good trace has."""
RAW_BYTES = FPS * HEIGHT_PX * WIDTH_PX * 3
HEAD = struct.Struct("<4sHHIIIII")
EDGES = (-(2**63), -(2**63) - 1, 2**63 - 1, 2**63, -1, 0, 1, 2**31, 2**64, 10**400)
JUNK: tuple[Any, ...] = (
    *EDGES, None, True, 1.5, 1e300, "", "x", "\ud800", "\0", "../../etc/passwd", [], {}, [[]],
    {"type": "marker"}, [["type", "marker"], ["kind", "x"]], "y" * 5000, [0] * 5000,
)  # fmt: skip
RAW_JUNK = (
    b"NaN", b"-Infinity", b"1e999", b"[" * 3000, b'{"a":' * 3000, b'{"a":1,"a":2}', b"9" * 5000,
    b'"\\ud800"', b'"\\u0000"', b'"' + b"z" * 4_100_000 + b'"', b"\xff", b"\xef\xbb\xbf1", b"",
)  # fmt: skip


@dataclass(frozen=True)
class Put:
    """One request to store a clip; ``kind`` says how it was made."""

    kind: str
    trace_id: str
    seq: str
    body: bytes
    sha: str

    @property
    def is_good(self) -> bool:
        """Whether it has to be accepted, or be a duplicate."""
        return self.kind == "good"

    @cached_property
    def key(self) -> tuple[str, str, str, str]:
        """What makes two requests the same."""
        return self.trace_id, self.seq, self.sha, body_sha(self.body)


def forged(meta: bytes, pixels: bytes, **head: int) -> bytes:
    """Return a body whose checksum is right, whatever it holds."""
    fields = {"version": 2, "codec": 1, "count": FPS, "height": HEIGHT_PX, "width": WIDTH_PX}
    fields |= {"meta_bytes": len(meta), "pixel_bytes": len(pixels), **head}
    content = HEAD.pack(b"NCLP", *fields.values()) + meta + pixels
    return content + struct.pack("<I", zlib.crc32(content))


def rle_frame(size_bytes: int, declared: int | None, window_log: int = 17) -> bytes:
    """Return a zstd frame of zeros: tiny, whatever its size and what it says of it."""
    head = struct.pack("<I", 0xFD2FB528)
    if declared is None:
        head += bytes([0x00, (window_log - 10) << 3])
    else:
        head += bytes([0xC0, (window_log - 10) << 3]) + struct.pack("<Q", declared)
    blocks = bytearray()
    while True:
        length = min(size_bytes, 2**17)
        size_bytes -= length
        blocks += struct.pack("<I", (length << 3) | (1 << 1) | (size_bytes == 0))[:3] + b"\0"
        if size_bytes == 0:
            return head + bytes(blocks)


def wide_clip(trace_id: str, side: int, **head: int) -> bytes:
    """Return a good clip of black frames: some kilobytes that grow to ``side``² · 15 bytes."""
    meta = {"trace_id": trace_id, "seq": 0, "first_frame": 0, "state": {}}
    meta |= {"t_mono_ns": [(n + 1) * PERIOD_NS for n in range(FPS)], "events": [[]] * FPS}
    size_bytes = side * side * 3 * FPS
    pixels = rle_frame(size_bytes, size_bytes)
    return forged(squeeze(json.dumps(meta).encode()), pixels, width=side, height=side, **head)


def squeeze(data: bytes, **options: Any) -> bytes:
    """Return a zstd frame."""
    return zstandard.ZstdCompressor(**options).compress(data)


XOR = {"version": 1, "codec": 0}
"""The head of a body whose pixels are frames, each XOR the one before."""
SKIPPABLE = struct.pack("<II", 0x184D2A50, 4) + b"skip"


class Hostility:
    """Draws requests to traces of a prefix; the same generator gives the same ones."""

    def __init__(self, rng: Random, prefix: str) -> None:
        self._rng = rng
        self._prefix = prefix
        self._sent: list[Put] = []
        self._waiting = {f"{prefix}-good-{n}": list(range(GOOD_CLIPS)) for n in range(TRACES)}
        self._spoilers: tuple[Callable[[str, int], bytes], ...] = (
            self._flipped, self._cut, self._spliced, self._odd_head, self._odd_meta, self._odd_raw,
            self._odd_times, self._odd_zstd, self._odd_size, self._noise, self._odd_event,
            self._odd_pixels,
        )  # fmt: skip

    def puts(self, count: int) -> Iterator[Put]:
        """Yield requests: good ones out of order, spoilt ones, and both again."""
        for _ in range(count):
            put = self._next()
            self._sent.append(put)
            yield put

    @property
    def traces(self) -> list[str]:
        """The traces that have to be opened."""
        return [f"{self._prefix}-{kind}-{n}" for kind in ("good", "bad") for n in range(TRACES)]

    def _bad(self) -> str:
        return f"{self._prefix}-bad-{self._rng.randrange(TRACES)}"

    def _seq(self) -> int:
        """Draw a place: among neighbours and taken ones, or where nothing is yet."""
        return self._rng.randrange(60 if self._rng.random() < 0.4 else 90_000)

    def _next(self) -> Put:
        chance = self._rng.random()
        if chance < 0.2 and self._sent:
            return self._rng.choice(self._sent)
        if chance < 0.35:
            return self._good()
        if chance < 0.42:
            return self._elsewhere()
        trace_id, seq = self._bad(), self._seq()
        spoil = self._rng.choice(self._spoilers)
        body = spoil(trace_id, seq)
        return Put(spoil.__name__, trace_id, str(seq), body, body_sha(body))

    def _good(self) -> Put:
        trace_id = self._rng.choice(list(self._waiting))
        waiting = self._waiting[trace_id]
        seq = self._rng.randrange(GOOD_CLIPS)
        if waiting:
            seq = waiting.pop(self._rng.randrange(min(5, len(waiting))))
        body = encode_clip(sample_clip(seq, trace_id))
        return Put("good", trace_id, str(seq), body, body_sha(body))

    def _elsewhere(self) -> Put:
        """A good body under another name, place or hash."""
        rng = self._rng
        trace_id, seq = self._bad(), self._seq()
        body = encode_clip(sample_clip(seq, trace_id, look=rng.randrange(3)))
        sha = body_sha(body)
        places = ["no-such-trace", "..%2f..%2fetc", "a%00b", "UPPER", "x" * 80, "%ff", "-", "a.b"]
        numbers = ["-1", "1e3", "0x1", "9" * 400, "+1", "%20" + "1", "%D9%A1", "007", "100001", "x"]
        shas = ["", "0" * 64, sha.upper(), sha[:-1], "x" * 5000, "%00"]
        draw = rng.randrange(4)
        if draw == 0:
            return Put("place", rng.choice(places), str(seq), body, sha)
        if draw == 1:
            return Put("number", trace_id, rng.choice(numbers), body, sha)
        if draw == 2:
            return Put("sha", trace_id, str(seq), body, rng.choice(shas))
        return Put(
            "moved", f"{self._prefix}-good-{rng.randrange(TRACES)}", str(60 + seq), body, sha
        )

    def _body(self, trace_id: str, seq: int) -> bytearray:
        return bytearray(encode_clip(sample_clip(seq, trace_id, look=self._rng.randrange(3))))

    def _parts(self, trace_id: str, seq: int) -> tuple[dict[str, Any], bytes]:
        body = bytes(self._body(trace_id, seq))
        meta_bytes = HEAD.unpack_from(body)[6]
        end = HEAD.size + meta_bytes
        meta = json.loads(zstandard.decompress(body[HEAD.size : end]))
        return meta, body[end:-4]

    def _flipped(self, trace_id: str, seq: int) -> bytes:
        body = self._body(trace_id, seq)
        for _ in range(self._rng.randrange(1, 4)):
            body[self._rng.randrange(len(body))] ^= 1 << self._rng.randrange(8)
        return self._sealed(body)

    def _cut(self, trace_id: str, seq: int) -> bytes:
        body = self._body(trace_id, seq)
        return self._sealed(body[: self._rng.randrange(len(body))])

    def _spliced(self, trace_id: str, seq: int) -> bytes:
        one, other = self._body(trace_id, seq), self._body(trace_id, seq + 1)
        at, to = self._rng.randrange(len(one)), self._rng.randrange(len(other))
        return self._sealed(one[:at] + other[to:])

    def _sealed(self, body: bytearray) -> bytes:
        """Make the checksum right, mostly."""
        if len(body) > 4 and self._rng.random() < 0.8:
            body[-4:] = struct.pack("<I", zlib.crc32(body[:-4]))
        return bytes(body)

    def _odd_head(self, trace_id: str, seq: int) -> bytes:
        meta, pixels = self._parts(trace_id, seq)
        names = ["version", "codec", "count", "height", "width", "meta_bytes", "pixel_bytes"]
        name = self._rng.choice(names)
        values = [0, 1, 2, 3, 120, 4096, 65535]
        if name not in ("version", "codec"):
            values += [2**31, 2**32 - 1]
        return forged(
            squeeze(json.dumps(meta).encode()), pixels, **{name: self._rng.choice(values)}
        )

    def _odd_meta(self, trace_id: str, seq: int) -> bytes:
        meta, pixels = self._parts(trace_id, seq)
        place: Any = meta
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = self._rng.choice(keys)
            if isinstance(place[key], (dict, list)) and place[key] and self._rng.random() < 0.7:
                place = place[key]
                continue
            if self._rng.random() < 0.2:
                del place[key]
            else:
                place[key] = self._rng.choice(JUNK)
            return forged(squeeze(json.dumps(meta).encode()), pixels)

    def _odd_raw(self, trace_id: str, seq: int) -> bytes:
        """JSON that ``json.dumps`` would not write."""
        meta, pixels = self._parts(trace_id, seq)
        name = self._rng.choice([*meta, "extra"])
        meta[name] = "HERE"
        text = json.dumps(meta).encode().replace(b'"HERE"', self._rng.choice(RAW_JUNK))
        return forged(squeeze(text), pixels)

    def _odd_times(self, trace_id: str, seq: int) -> bytes:
        meta, pixels = self._parts(trace_id, seq)
        start, period = self._rng.choice(EDGES[:6]), self._rng.choice([0, 1, -1, PERIOD_NS, 2**60])
        meta["t_mono_ns"] = [start + n * period for n in range(FPS)]
        return forged(squeeze(json.dumps(meta).encode()), pixels)

    def _odd_event(self, trace_id: str, seq: int) -> bytes:
        meta, pixels = self._parts(trace_id, seq)
        event = self._rng.choice(self._rng.choice(meta["events"]))
        event[self._rng.choice([*event, "more"])] = self._rng.choice(JUNK)
        if self._rng.random() < 0.1:
            meta["events"][0] *= 5000
        return forged(squeeze(json.dumps(meta).encode()), pixels)

    def _odd_zstd(self, trace_id: str, seq: int) -> bytes:
        meta, pixels = self._parts(trace_id, seq)
        raw = bytes(RAW_BYTES)
        odd: list[Callable[[], bytes]] = [
            lambda: rle_frame(RAW_BYTES, RAW_BYTES),
            lambda: rle_frame(RAW_BYTES, None),
            lambda: rle_frame(RAW_BYTES, RAW_BYTES, window_log=41),
            lambda: rle_frame(RAW_BYTES, 2**64 - 3),
            lambda: rle_frame(RAW_BYTES - 1, RAW_BYTES),
            lambda: rle_frame(RAW_BYTES + 1, RAW_BYTES),
            lambda: rle_frame(2**28, 2**28),
            lambda: rle_frame(2**28, RAW_BYTES),
            lambda: rle_frame(2**33, None, window_log=31),
            lambda: squeeze(raw, write_content_size=False),
            lambda: squeeze(raw, write_checksum=True)[:-1] + b"\0",
            lambda: squeeze(raw[:100]) + squeeze(raw[100:]),
            lambda: squeeze(b"") * 1000 + pixels,
            lambda: SKIPPABLE + pixels,
            lambda: pixels + SKIPPABLE,
            lambda: SKIPPABLE * 1000,
            lambda: b"",
            lambda: rle_frame(RAW_BYTES, RAW_BYTES, window_log=31)[:-1],
            lambda: self._rng.randbytes(200),
        ]
        text = squeeze(json.dumps(meta).encode())
        if self._rng.random() < 0.3:
            bombs = [rle_frame(2**28, 2**28), rle_frame(2**22, 2**22), rle_frame(2**22, None)]
            return forged(self._rng.choice([*bombs, SKIPPABLE, text + text]), pixels)
        heads = [XOR, XOR, {"codec": 1}, {"codec": 2}]
        return forged(text, self._rng.choice(odd)(), **self._rng.choice(heads))

    def _odd_pixels(self, trace_id: str, seq: int) -> bytes:
        """Bands that say other things than they are, and pixels of the other codecs."""
        meta, pixels = self._parts(trace_id, seq)
        text, raw = squeeze(json.dumps(meta).encode()), bytearray(zstandard.decompress(pixels))
        for _ in range(self._rng.randrange(1, 5)):
            # The number of bands and their places come first.
            at = self._rng.randrange(self._rng.choice([4, 40, len(raw)]))
            raw[at] = self._rng.choice([0, 1, 0xFF, raw[at] ^ (1 << self._rng.randrange(8))])
        if self._rng.random() < 0.2:
            raw = raw[: self._rng.randrange(len(raw))]
        if self._rng.random() < 0.2:
            return forged(text, squeeze(self._rng.randbytes(RAW_BYTES)), codec=2)
        return forged(text, squeeze(bytes(raw)))

    def _odd_size(self, trace_id: str, seq: int) -> bytes:
        """Frames that add up to what the head says, in a trace of another screen."""
        meta, _ = self._parts(trace_id, seq)
        width, height = self._rng.choice([(16, 24), (4096, 4096), (1, 1), (24, 17), (2000, 1000)])
        size_bytes = width * height * 3 * FPS
        text = squeeze(json.dumps(meta).encode())
        pixels = rle_frame(size_bytes, size_bytes)
        return forged(text, pixels, width=width, height=height, **XOR)

    def _noise(self, trace_id: str, seq: int) -> bytes:
        length = self._rng.choice([0, 1, 3, 4, 31, 32, 33, 1000, 100_000])
        return b"NCLP"[:length] + self._rng.randbytes(max(0, length - 4))
