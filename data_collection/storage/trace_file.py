"""One trace as an MCAP file: append a clip, find what is whole in it, close it.

Every message is one clip's body, outside any chunk, so that a reader finds the body
at a fixed offset and a crash tears at most the last one. The records are written
here and not by ``mcap.writer``, which can neither append to a file nor say where a
message lies.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import Channel, DataEnd, Footer, Header, Message, Metadata, Schema
from mcap.writer import MCAP0_MAGIC

from data_collection.storage.durable import sync_file, write_atomic
from data_collection.trace import TraceHeader

SUFFIX = ".mcap"
HEADER_RECORD = "trace"
TOMBSTONE_RECORD = "tombstone"

_TRACE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_RECORD = struct.Struct("<BQ")
_MESSAGE_FIELDS_BYTES = 2 + 4 + 8 + 8
_CLIP_CHANNEL = 1


@dataclass(frozen=True, slots=True)
class BodyRecord:
    """A message: a clip's body at ``offset``, the record ending at ``end`` (bytes)."""

    body: bytes
    offset: int
    end: int


@dataclass(frozen=True, slots=True)
class NoteRecord:
    """A metadata record: the trace's header, or its tombstone."""

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


def create(path: Path, header: TraceHeader) -> int:
    """Write a trace's file with its header and no clips; return its end in bytes."""
    builder = RecordBuilder()
    builder.write(MCAP0_MAGIC)
    Header(profile="neuralos", library="neuralos").write(builder)
    Schema(id=1, name="neuralos.clip", encoding="", data=b"").write(builder)
    Channel(
        id=_CLIP_CHANNEL, topic="clips", message_encoding="nclp", metadata={}, schema_id=1
    ).write(builder)
    note = {"header": json.dumps(header.to_json())}
    Metadata(name=HEADER_RECORD, metadata=note).write(builder)
    content: bytes = builder.end()
    write_atomic(path, content)
    return len(content)


def append_body(path: Path, at: int, seq: int, t_mono_ns: int, body: bytes) -> BodyRecord:
    """Append a clip's body at ``at``, dropping what lies after it; durable on return."""
    builder = RecordBuilder()
    Message(
        channel_id=_CLIP_CHANNEL,
        log_time=t_mono_ns,
        publish_time=t_mono_ns,
        sequence=seq,
        data=body,
    ).write(builder)
    end = _append(path, at, builder.end())
    return BodyRecord(body, at + _RECORD.size + _MESSAGE_FIELDS_BYTES, end)


def append_note(path: Path, at: int, name: str, note: dict[str, str]) -> int:
    """Append a metadata record at ``at``; return the new end of the trace's data."""
    builder = RecordBuilder()
    Metadata(name=name, metadata=note).write(builder)
    return _append(path, at, builder.end())


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

    A record is whole here if all its bytes are in the file; whether they are the right
    ones is for the clip's checksum to say.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        at = start or len(MCAP0_MAGIC)
        while at + _RECORD.size <= size:
            file.seek(at)
            opcode, length = _RECORD.unpack(file.read(_RECORD.size))
            end = at + _RECORD.size + length
            if end > size or opcode in (0, Opcode.DATA_END):
                return
            if opcode == Opcode.MESSAGE and length >= _MESSAGE_FIELDS_BYTES:
                body = file.read(length)[_MESSAGE_FIELDS_BYTES:]
                yield BodyRecord(body, end - len(body), end)
            elif opcode == Opcode.METADATA:
                yield _note(file.read(length), end)
            at = end


def read_header(path: Path) -> TraceHeader:
    """Return the header that a trace's file begins with.

    Raises:
        ValueError: the file holds none.
    """
    for record in scan(path):
        if isinstance(record, NoteRecord) and record.name == HEADER_RECORD:
            return TraceHeader.from_json(json.loads(record.note["header"]))
    raise ValueError(f"{path.name} holds no trace header")


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
        file.write(content)
        sync_file(file)
    return at + len(content)


def _note(content: bytes, end: int) -> NoteRecord:
    texts: list[str] = []
    at = 0
    while at + 4 <= len(content):
        (length,) = struct.unpack_from("<I", content, at)
        texts.append(content[at + 4 : at + 4 + length].decode(errors="replace"))
        # The name is followed by the size of the map, then keys and values alternate.
        at += 4 + length + (4 if len(texts) == 1 else 0)
    return NoteRecord(
        texts[0] if texts else "", dict(zip(texts[1::2], texts[2::2], strict=False)), end
    )
