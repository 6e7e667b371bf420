"""A reader of trace files written from ``docs/data.md`` alone; nothing of the project is used."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

MAGIC = b"\x89MCAP0\r\n"
Frames = npt.NDArray[np.uint8]


@dataclass
class Read:
    """What the independent reader finds in a file."""

    header: dict[str, Any] = field(default_factory=dict)
    clips: dict[int, tuple[dict[str, Any], Frames]] = field(default_factory=dict)
    commits: dict[int, int] = field(default_factory=dict)
    tombstones: list[dict[str, str]] = field(default_factory=list)
    closed: bool = False


def texts(content: bytes) -> list[str]:
    found, at = [], 0
    while at < len(content):
        (length,) = struct.unpack_from("<I", content, at)
        found.append(content[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return found


def read_note(content: bytes) -> tuple[str, dict[str, str]]:
    (length,) = struct.unpack_from("<I", content)
    name = content[4 : 4 + length].decode()
    pairs = texts(content[4 + length + 4 :])
    note = dict(zip(pairs[::2], pairs[1::2], strict=True))
    crc = note.pop("crc32")
    assert int(crc) == zlib.crc32(json.dumps(sorted(note.items())).encode())
    return name, note


def read_body(body: bytes) -> tuple[dict[str, Any], Frames] | None:
    if body[:4] == b"GONE":
        return None
    assert zlib.crc32(body[:-4]) == struct.unpack("<I", body[-4:])[0]
    magic, version, codec, n, h, w, of_meta, of_pixels = struct.unpack_from("<4sHHIIIII", body)
    assert (magic, version) == (b"NCLP", 2)
    inflate = zstandard.ZstdDecompressor().decompress
    meta = json.loads(inflate(body[28 : 28 + of_meta]))
    raw = inflate(body[28 + of_meta : 28 + of_meta + of_pixels])
    if codec == 2:
        planes = np.frombuffer(raw, np.uint8).reshape(n, 3, h, w)
        planes = planes.cumsum(axis=2, dtype=np.uint8).cumsum(axis=3, dtype=np.uint8)
        red, green, blue = planes[:, 0], planes[:, 1], planes[:, 2]
        return meta, np.stack([red + green, green, blue + green], axis=-1)
    assert codec == 1
    (k,) = struct.unpack_from("<I", raw)
    table = np.frombuffer(raw, "<u2", 4 * k, 4).reshape(4, k).T.tolist()
    at = 4 + 8 * k
    frames = np.frombuffer(raw, np.uint8, h * w * 3, at).reshape(1, h, w, 3).repeat(n, axis=0)
    at += h * w * 3
    for frame, y, x, x_end in table:
        rows, columns = min(y + 16, h) - y, x_end - x
        pixels = np.frombuffer(raw, np.uint8, rows * columns * 3, at)
        frames[frame:, y : y + rows, x:x_end] = pixels.reshape(rows, columns, 3)
        at += rows * columns * 3
    assert at == len(raw)
    return meta, frames


def read_trace(path: Path) -> Read:
    """Read a file from its bytes; give out no clip that a tombstone takes back."""
    data, read, commit, at = path.read_bytes(), Read(), 0, 8
    assert data[:8] == MAGIC
    while at + 9 <= len(data) and not read.closed:
        opcode, length = struct.unpack_from("<BQ", data, at)
        content, at = data[at + 9 : at + 9 + length], at + 9 + length
        if opcode == 0x0F:
            read.closed = data.endswith(MAGIC)
        elif opcode == 0x0C:
            name, note = read_note(content)
            if name == "trace":
                read.header = json.loads(note["header"])
            elif name == "tombstone":
                read.tombstones.append(note)
        elif opcode == 0x80:
            commit, _, _, _, crc = struct.unpack("<QdB32sI", content)
            assert crc == zlib.crc32(content[:49])
        elif opcode == 0x05:
            channel, seq, last_ns, _ = struct.unpack_from("<HIQQ", content)
            found = read_body(content[22:])
            if found is not None:
                assert (channel, seq, last_ns) == (1, found[0]["seq"], found[0]["t_mono_ns"][-1])
                read.clips[seq], read.commits[seq] = found, commit
    for note in read.tombstones:
        gone = {clip["seq"] for clip in json.loads(note["clips"])}
        gone |= set(range(int(note["first"]), min(int(note["last"]), 10**5) + 1))
        read.clips = {seq: clip for seq, clip in read.clips.items() if seq not in gone}
    return read
