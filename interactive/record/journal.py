"""Append-only files of JSON lines, each with a checksum: what is read back was written whole."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from interactive.record.durable import sync_folder

_SEAL = ',"crc":"%08x"}\n'
_SEAL_BYTES = len(_SEAL % 0)
_fdatasync = getattr(os, "fdatasync", os.fsync)
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class JournalCorrupt(Exception):
    """A line in the middle of a journal is damaged: the file was changed after it was written."""

    def __init__(self, path: Path, line: int) -> None:
        """Name the file and the damaged line, counted from 1."""
        super().__init__(f"{path}: line {line} is damaged")
        self.path = path
        self.line = line


def seal(obj: dict[str, Any]) -> bytes:
    """Return the line of a non-empty object: its JSON with ``crc`` as the last key.

    Raises:
        ValueError: the object holds NaN or an infinity, which JSON has no numbers for.
    """
    text = _encode(obj)
    crc = zlib.crc32(text.encode("ascii"))
    return (text[:-1] + _SEAL % crc).encode("ascii")


def unseal(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line without its ``crc``, or None if the line is not whole."""
    body, end = line[:-_SEAL_BYTES], line[-_SEAL_BYTES:]
    text = body + b"}"
    if end != (_SEAL % zlib.crc32(text)).encode("ascii"):
        return None
    obj = json.loads(text)
    return obj if isinstance(obj, dict) else None


class JournalWriter:
    """The one writer of a journal. Opening it cuts a torn last line: it never happened."""

    def __init__(self, path: Path, handle: int, size: int, lines: int) -> None:
        """Store an open file that ends after a whole line; use ``open``."""
        self.path = path
        self.lines = lines
        self._handle = handle
        self._size = size

    @classmethod
    def open(cls, path: Path) -> JournalWriter:
        """Open or make a journal.

        Raises:
            JournalCorrupt: a line before the last one is damaged.
        """
        lines = size = 0
        for _, end in scan(path):
            lines += 1
            size = end
        is_new = not path.exists()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        handle = os.open(path, flags, 0o644)
        if os.fstat(handle).st_size > size:
            os.ftruncate(handle, size)
            _fdatasync(handle)
        if is_new:
            sync_folder(path.parent)
        return cls(path, handle, size, lines)

    def append(self, obj: dict[str, Any], *, durable: bool = True) -> None:
        """Write one line; with ``durable`` it is on the disk when this returns.

        Raises:
            OSError: nothing was written (a part of a line is cut again).
        """
        self.write(seal(obj), durable=durable)

    def write(self, lines: bytes, *, durable: bool) -> None:
        """Write sealed lines, all or none.

        Raises:
            OSError: nothing was written.
        """
        try:
            done = 0
            while done < len(lines):
                done += os.write(self._handle, lines[done:])
            if durable:
                _fdatasync(self._handle)
        except OSError:
            os.ftruncate(self._handle, self._size)
            raise
        self._size += len(lines)
        self.lines += lines.count(b"\n")

    def sync(self) -> None:
        """Make every line durable."""
        _fdatasync(self._handle)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def scan(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each object of a journal with the offset (bytes) after its line.

    A torn or damaged last line is left out; a file that is not there holds nothing.

    Raises:
        JournalCorrupt: a line before the last one is damaged.
    """
    if not path.exists():
        return
    offset = 0
    damaged = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if damaged:
                raise JournalCorrupt(path, damaged)
            obj = unseal(line)
            if obj is None:
                damaged = number
                continue
            offset += len(line)
            yield obj, offset


def read(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a journal in order.

    Raises:
        JournalCorrupt: a line before the last one is damaged.
    """
    return [obj for obj, _ in scan(path)]


class JournalTail:
    """A reader that follows a journal while another process writes it."""

    def __init__(self, path: Path) -> None:
        """Store the path; the file need not be there yet."""
        self._path = path
        self._offset = 0
        self._line = 0

    def read_new(self) -> list[dict[str, Any]]:
        """Return the objects whose lines have become whole since the call before.

        Raises:
            JournalCorrupt: a line that another line follows is damaged.
        """
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        lines = data.splitlines(keepends=True)
        found = []
        for at, line in enumerate(lines):
            obj = unseal(line)
            if obj is None:
                if at + 1 < len(lines):
                    raise JournalCorrupt(self._path, self._line + 1)
                break
            found.append(obj)
            self._offset += len(line)
            self._line += 1
        return found
