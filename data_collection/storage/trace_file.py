"""One trace as an MCAP file: append a clip, find what is whole in it, close it.

Every message is one clip's body, outside any chunk, so that a reader finds the body
at a fixed offset and a crash tears at most the last one. The records are written
here and not by ``mcap.writer``, which can neither append to a file nor say where a
message lies. ``docs/data.md`` specifies the file for other programs.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Union

from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import Channel, DataEnd, Footer, Header, Metadata, Schema
from mcap.writer import MCAP0_MAGIC

from data_collection.storage.durable import sync_file, write, write_atomic
from data_collection.trace import TraceHeader

SUFFIX = ".mcap"
HEADER_RECORD = "trace"
PURGED_MAGIC = b"GONE"
"""What a purged body begins with, in place of a clip's magic."""
MAX_RECORD_BYTES = 80 * 2**20

_TRACE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_RECORD = struct.Struct("<BQ")
_MESSAGE_FIELDS = struct.Struct("<HIQQ")
_CLIP_CHANNEL = 1
# MCAP leaves the opcodes from 0x80 on to applications; other readers pass over them.
_COMMIT_OPCODE = 0x80
_GAP_OPCODE = 0x81
_COMMIT = struct.Struct("<QdB32s")
_CRC = struct.Struct("<I")
_CRC_KEY = "crc32"
_OPENING = (Opcode.HEADER, Opcode.SCHEMA, Opcode.CHANNEL)


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """What the index noted of the message that follows, so that it can be rebuilt.

    ``commit`` is the clip's number in the store, ``acknowledged_wall_s`` seconds since
    1970, ``weight`` its sampling weight, ``content_sha`` the hash of its content in hex.
    """

    commit: int
    acknowledged_wall_s: float
    weight: int
    content_sha: str


@dataclass(frozen=True, slots=True)
class BodyRecord:
    """A message: a clip's body at ``offset``, ending at ``end`` (bytes).

    ``start`` is where its commit record begins, or the message if it has none.
    """

    body: bytes
    offset: int
    start: int
    end: int
    seq: int
    commit: CommitRecord | None

    @property
    def is_purged(self) -> bool:
        """Whether the clip's bytes were destroyed after it was withdrawn."""
        return self.body.startswith(PURGED_MAGIC)


@dataclass(frozen=True, slots=True)
class NoteRecord:
    """A metadata record: the trace's header, or a tombstone."""

    name: str
    note: dict[str, str]
    end: int


def valid_trace_id(trace_id: str) -> bool:
    """Tell whether a trace id may name a file: lower case letters, digits and hyphens."""
    return _TRACE_ID.fullmatch(trace_id) is not None


def file_name(trace_id: str) -> str:
    """Return the name of a trace's file in its store.

    Raises:
        ValueError: the id is none that may name a file.
    """
    if not valid_trace_id(trace_id):
        raise ValueError(f"bad trace id {trace_id!r}")
    return trace_id + SUFFIX


def create(path: Path, header: TraceHeader, *notes: tuple[str, dict[str, str]]) -> int:
    """Write a trace's file with its header and notes, no clips; return its end in bytes."""
    builder = RecordBuilder()
    builder.write(MCAP0_MAGIC)
    Header(profile="neuralos", library="neuralos").write(builder)
    Schema(id=1, name="neuralos.clip", encoding="", data=b"").write(builder)
    Channel(
        id=_CLIP_CHANNEL, topic="clips", message_encoding="nclp", metadata={}, schema_id=1
    ).write(builder)
    for name, note in ((HEADER_RECORD, {"header": json.dumps(header.to_json())}), *notes):
        Metadata(name=name, metadata=_with_crc(note)).write(builder)
    content: bytes = builder.end()
    write_atomic(path, content)
    return len(content)


def append_body(
    path: Path, at: int, seq: int, t_mono_ns: int, body: bytes, commit: CommitRecord | None = None
) -> BodyRecord:
    """Append a clip's body at ``at``, dropping what lies after it; durable on return."""
    noted = b"" if commit is None else _commit_bytes(commit)
    fields = _MESSAGE_FIELDS.pack(_CLIP_CHANNEL, seq, t_mono_ns, t_mono_ns)
    head = noted + _RECORD.pack(Opcode.MESSAGE, len(fields) + len(body)) + fields
    end = _append(path, at, head + body)
    return BodyRecord(body, at + len(head), at, end, seq, commit)


def append_note(path: Path, at: int, name: str, note: dict[str, str]) -> int:
    """Append a metadata record at ``at``; return the new end of the trace's data."""
    builder = RecordBuilder()
    Metadata(name=name, metadata=_with_crc(note)).write(builder)
    return _append(path, at, builder.end())


def renumber(path: Path, record: BodyRecord, commit: CommitRecord) -> None:
    """Write another commit record before a body that has one; durable on return."""
    if record.commit is not None:
        with open(path, "r+b") as file:
            file.seek(record.start)
            write(file, _commit_bytes(commit))
            sync_file(file)


def seal(path: Path, at: int) -> None:
    """End the file as MCAP asks, for other readers; a later append overwrites the ending."""
    _append(path, at, _ending())


def sync(path: Path) -> None:
    """Return once all that was written to the file is on the disk."""
    with open(path, "r+b") as file:
        sync_file(file)


def is_sealed(path: Path, at: int) -> bool:
    """Tell whether nothing but MCAP's ending follows the data that ends at ``at``."""
    with open(path, "rb") as file:
        file.seek(at)
        return file.read(len(_ending()) + 1) == _ending()


def scan(path: Path, start: int = 0) -> Iterator[Union[BodyRecord, NoteRecord]]:
    """Yield the whole records from ``start`` on; stop at the ending or at a torn record.

    A message is whole here if all its bytes are in the file; whether they are the right
    ones is for the clip's checksum to say.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        at = start or len(MCAP0_MAGIC)
        if start == 0 and file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
            return
        pending: tuple[int, CommitRecord | None] | None = None
        while (head := _record_at(file, at, size)) is not None:
            opcode, length = head
            end = at + _RECORD.size + length
            if opcode == _COMMIT_OPCODE:
                pending = (at, _commit_record(file.read(length)))
            elif opcode == Opcode.MESSAGE:
                fields = _MESSAGE_FIELDS.unpack(file.read(_MESSAGE_FIELDS.size))
                body = file.read(length - _MESSAGE_FIELDS.size)
                begin, commit = pending or (at, None)
                yield BodyRecord(body, end - len(body), begin, end, fields[1], commit)
                pending = None
            elif opcode == Opcode.METADATA:
                note = _note(file.read(length), end)
                if note is None:
                    return
                yield note
            at = end


def read_header(path: Path) -> TraceHeader:
    """Return the header that a trace's file begins with.

    Raises:
        ValueError: the file holds none.
    """
    for record in scan(path):
        if isinstance(record, NoteRecord) and record.name == HEADER_RECORD:
            return TraceHeader.from_json(json.loads(record.note.get("header", "null")))
        break
    raise ValueError(f"{path.name} holds no trace header")


def torn_tail(path: Path, at: int) -> tuple[int, str]:
    """Return how many bytes that are no records follow ``at``, and what they are.

    Returns:
        (0, "") if nothing or nothing but MCAP's ending follows.
    """
    size = os.path.getsize(path)
    if size == at or is_sealed(path, at):
        return 0, ""
    with open(path, "rb") as file:
        file.seek(at)
        tail = file.read(1 << 20)
        if not tail.strip(b"\0"):
            return size - at, "zeros follow the last whole clip"
        whole = _record_at(file, at, size) is not None
    if _ending().startswith(tail):
        return size - at, "the ending is cut short"
    if whole:
        return size - at, "a clip or note does not match its checksum"
    return size - at, "the last record is cut short or no record"


def next_commit(path: Path, at: int) -> int | None:
    """Return where the next whole commit record begins, however damaged what lies before.

    Its fixed length and its checksum make it known among any bytes.
    """
    head = _RECORD.pack(_COMMIT_OPCODE, _COMMIT.size + _CRC.size)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = data.find(head, at)
        while found >= 0:
            content = data[found + len(head) : found + len(head) + _COMMIT.size + _CRC.size]
            if len(content) == _COMMIT.size + _CRC.size and _commit_record(content) is not None:
                return found
            found = data.find(head, found + 1)
    return None


def bridge(path: Path, begin: int, end: int) -> None:
    """Make unreadable bytes between two records one record that every reader skips."""
    length = end - begin - _RECORD.size
    if 0 <= length <= MAX_RECORD_BYTES:
        with open(path, "r+b") as file:
            file.seek(begin)
            write(file, _RECORD.pack(_GAP_OPCODE, length))
            sync_file(file)


def _record_at(file: IO[bytes], at: int, size: int) -> tuple[int, int] | None:
    """Read a record's opcode and length; None where no whole record of ours begins."""
    if at + _RECORD.size > size:
        return None
    file.seek(at)
    opcode, length = _RECORD.unpack(file.read(_RECORD.size))
    if at + _RECORD.size + length > size or length > MAX_RECORD_BYTES:
        return None
    if opcode == Opcode.MESSAGE:
        known = length > _MESSAGE_FIELDS.size
    elif opcode == _COMMIT_OPCODE:
        known = length == _COMMIT.size + _CRC.size
    else:
        known = opcode in (Opcode.METADATA, _GAP_OPCODE, *_OPENING)
    return (opcode, length) if known else None


def _ending() -> bytes:
    builder = RecordBuilder()
    DataEnd(data_section_crc=0).write(builder)
    Footer(summary_start=0, summary_offset_start=0, summary_crc=0).write(builder)
    builder.write(MCAP0_MAGIC)
    content: bytes = builder.end()
    return content


def _append(path: Path, at: int, content: bytes) -> int:
    with open(path, "r+b") as file:
        file.truncate(at)
        file.seek(at)
        write(file, content)
        sync_file(file)
    return at + len(content)


def _commit_bytes(commit: CommitRecord) -> bytes:
    content = _COMMIT.pack(
        commit.commit,
        commit.acknowledged_wall_s,
        commit.weight,
        bytes.fromhex(commit.content_sha),
    )
    crc = _CRC.pack(zlib.crc32(content))
    return _RECORD.pack(_COMMIT_OPCODE, len(content) + len(crc)) + content + crc


def _commit_record(content: bytes) -> CommitRecord | None:
    """Parse a commit record; None if it is damaged, which costs the number, not the clip."""
    if zlib.crc32(content[: _COMMIT.size]) != _CRC.unpack_from(content, _COMMIT.size)[0]:
        return None
    commit, wall_s, weight, content_sha = _COMMIT.unpack_from(content)
    return (
        CommitRecord(commit, wall_s, weight, content_sha.hex()) if math.isfinite(wall_s) else None
    )


def _with_crc(note: dict[str, str]) -> dict[str, str]:
    return {**note, _CRC_KEY: str(_note_crc(note))}


def _note_crc(note: dict[str, str]) -> int:
    return zlib.crc32(json.dumps(sorted(note.items())).encode())


def _note(content: bytes, end: int) -> NoteRecord | None:
    """Parse a metadata record; None if it does not match its checksum."""
    texts: list[str] = []
    at = 0
    while at + 4 <= len(content):
        (length,) = struct.unpack_from("<I", content, at)
        texts.append(content[at + 4 : at + 4 + length].decode(errors="replace"))
        # The name is followed by the size of the map, then keys and values alternate.
        at += 4 + length + (4 if len(texts) == 1 else 0)
    note = dict(zip(texts[1::2], texts[2::2], strict=False))
    crc = note.pop(_CRC_KEY, None)
    # Files written before notes had a checksum hold none.
    if not texts or at != len(content) or (crc is not None and crc != str(_note_crc(note))):
        return None
    return NoteRecord(texts[0], note, end)
