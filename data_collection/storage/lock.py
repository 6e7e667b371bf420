"""The lock that makes one process the only writer of a store."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# Windows locks are mandatory: the locked byte lies past the text, which stays readable.
_LOCKED_BYTE = 1 << 20


class StoreLocked(Exception):
    """Another process holds the store.

    Args:
        path: the lock file.
        pid: the holder's process id, 0 if it has not written it yet.
    """

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__(f"{path.parent} is held by process {pid or 'unknown'}")
        self.path = path
        self.pid = pid


class StoreLock:
    """An operating system lock on a file; it ends with its holder, however that ends."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    @classmethod
    def acquire(cls, path: Path) -> StoreLock:
        """Take the lock.

        Raises:
            StoreLocked: it is held, by another process or by this one.
        """
        # Opened for appending, so that a loser does not wipe the holder's process id.
        file = open(path, "a+b")  # noqa: SIM115 - held until release
        try:
            _lock(file)
        except OSError:
            file.seek(0)
            text = file.read(32).decode(errors="replace").strip()
            file.close()
            raise StoreLocked(path, int(text) if text.isdecimal() else 0) from None
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        return cls(file)

    def release(self) -> None:
        """Give the lock back."""
        self._file.close()


if sys.platform == "win32":

    def _lock(file: IO[bytes]) -> None:
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
