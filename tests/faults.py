"""A failing disk for tests: the n-th write, sync, rename or database statement fails.

    with failing_disk(tmp_path) as disk:            # counts, nothing fails
        session(tmp_path)
    for n in range(disk.operations):
        with failing_disk(other, errno.EIO, at=n):  # operation n fails, once
            session(other)

Faults are injected below the code under test: in what ``open`` returns, in ``os``, and in
the connections of ``sqlite3``; so it does not matter who writes. Only files under the given
folder are touched.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from data_collection.storage import durable

_WRITING = ("INSERT", "UPDATE", "DELETE", "BEGIN", "COMMIT")


@dataclass
class FailingDisk:
    """What is counted and when it fails.

    Args:
        root: the folder whose files are on this disk.
        code: the error number, such as ``errno.ENOSPC``.
        at: the operation that fails, counted from 0; None for none.
        lasting: whether all operations after it fail, too.
        late: whether the operation is done all the same and only reported as failed.
    """

    root: Path
    code: int = errno.ENOSPC
    at: int | None = None
    lasting: bool = False
    late: bool = False
    operations: int = 0
    failures: list[str] = field(default_factory=list)

    def fails(self, operation: str) -> bool:
        """Count an operation; tell whether it fails."""
        number = self.operations
        self.operations += 1
        if self.at is None or number < self.at or (number > self.at and not self.lasting):
            return False
        self.failures.append(operation)
        return True

    def error(self) -> OSError:
        """Return the error to raise."""
        return OSError(self.code, os.strerror(self.code))

    def holds(self, path: Any) -> bool:
        """Tell whether a path, or an open descriptor, is on this disk."""
        if isinstance(path, int):
            link = f"/proc/self/fd/{path}"
            path = os.readlink(link) if os.path.exists(link) else ""
        return Path(os.path.abspath(os.fspath(path))).is_relative_to(self.root)

    def guarded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``real``, which takes a path or descriptor first, failing when it is time."""

        def operation(target: Any, *args: Any, **options: Any) -> Any:
            if not self.holds(target) or not self.fails(name):
                return real(target, *args, **options)
            if self.late:
                real(target, *args, **options)
            raise self.error()

        return operation


@contextmanager
def failing_disk(
    root: Path,
    code: int = errno.ENOSPC,
    at: int | None = None,
    *,
    lasting: bool = False,
    late: bool = False,
) -> Iterator[FailingDisk]:
    """Let operation ``at`` on the files under ``root`` fail; see ``FailingDisk``."""
    disk = FailingDisk(root.absolute(), code, at, lasting, late)
    real_open, real_connect = builtins.open, sqlite3.connect

    def open_file(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        writes = any(letter in mode for letter in "wax+")
        if "b" not in mode or not writes or not disk.holds(file):
            return real_open(file, mode, *args, **options)
        raw = _FailingFile(disk, os.fspath(file), mode.replace("b", ""))
        return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

    def connect(database: Any, *args: Any, **options: Any) -> sqlite3.Connection:
        connection = real_connect(database, *args, **options, factory=_FailingConnection)
        if disk.holds(database):
            connection.disk = disk
        return connection

    with ExitStack() as patches:
        for module in (builtins, io):
            patches.enter_context(patch.object(module, "open", open_file))
        patches.enter_context(patch.object(sqlite3, "connect", connect))
        for name in ("fsync", "fdatasync", "replace", "rename", "unlink", "mkdir"):
            if hasattr(os, name):
                real = getattr(os, name)
                patches.enter_context(patch.object(os, name, disk.guarded(name, real)))
        sync = disk.guarded("fdatasync", durable._sync_data)
        patches.enter_context(patch.object(durable, "_sync_data", sync))
        yield disk


class _FailingFile(io.FileIO):
    def __init__(self, disk: FailingDisk, path: str, mode: str) -> None:
        super().__init__(path, mode)
        self._disk = disk

    def write(self, data: Any) -> int:
        if not self._disk.fails("write"):
            return super().write(data)
        # A disk that fills up takes the first part of what it is given.
        content = bytes(data)
        super().write(content if self._disk.late else content[: len(content) // 2])
        raise self._disk.error()

    def truncate(self, size: int | None = None) -> int:
        if not self._disk.fails("truncate"):
            return super().truncate(size)
        if self._disk.late:
            super().truncate(size)
        raise self._disk.error()


class _FailingConnection(sqlite3.Connection):
    disk: FailingDisk | None = None

    def execute(self, statement: str, *args: Any) -> sqlite3.Cursor:
        writes = statement.lstrip().upper().startswith(_WRITING)
        if self.disk is None or not writes or not self.disk.fails(statement.split()[0]):
            return super().execute(statement, *args)
        if self.disk.late:
            super().execute(statement, *args)
        elif self.in_transaction:
            # SQLite rolls a transaction back by itself where writing it fails.
            super().execute("ROLLBACK")
        full = self.disk.code == errno.ENOSPC
        raise sqlite3.OperationalError("database or disk is full" if full else "disk I/O error")
