"""One session: a folder and the programs that run in it, of which nothing remains."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_collection.desktops.process import DesktopDied

_KEEPER = Path(__file__).with_name("keeper.py")
_POLL_S = 0.003
_END_TIMEOUT_S = 10.0
_SETTLE_S = 0.15
_MOST_PATH_BYTES = 58
"""A socket's path may have 107 bytes; Chromium's lies 49 deep in the folder."""


class X11Died(DesktopDied):
    """A program that the real desktop cannot do without is gone; the message says which."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Session:
    """A folder of its own and the keeper of its programs.

    Whatever the programs leave in the background is killed with them, and the folder is
    deleted: by ``close``, or when this process ends, killed or not.
    """

    def __init__(self, folder: Path, keeper: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.home = folder / "Home"
        self.run_dir = folder / "run"
        self.pids: dict[str, int] = {}
        self._keeper = keeper
        self._order: list[str] = []
        self._ended: dict[str, int] = {}
        self._unread = b""

    def run(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], out: Path | None = None
    ) -> None:
        """Start a program whose end is the end of the session.

        Args:
            name: what to call it in an error.
            argv: the program and its arguments.
            env: all of its environment.
            out: where its standard output goes; None is its log.
        """
        order = {
            "name": name,
            "argv": list(argv),
            "env": dict(env),
            "cwd": str(self.home),
            "log": str(self._log(name)),
            "out": str(out) if out else "",
        }
        self._order.append(name)
        stdin = self._keeper.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(order).encode() + b"\n")
            stdin.flush()
        except OSError:
            raise X11Died("the keeper of the session was killed") from None

    def check(self) -> None:
        """Return while all programs run.

        Raises:
            X11Died: one has ended; the message holds the last line of its log.
        """
        self._read()
        if not self._ended:
            return
        # A server that dies takes its clients along, and some of them are told of first.
        self.settle()
        name = next(name for name in self._order if name in self._ended)
        status = self._ended[name]
        how = f"was killed by signal {-status}" if status < 0 else f"ended with {status}"
        last = self._last_line(name)
        raise X11Died(f"{name} {how}" + (f": {last}" if last else ""))

    def settle(self) -> None:
        """Give the keeper a moment to notice what ends just now."""
        deadline = time.monotonic() + _SETTLE_S
        while time.monotonic() < deadline:
            self._read()
            time.sleep(_POLL_S)

    def wait_for(self, what: str, seen: Callable[[], Any], timeout_s: float) -> Any:
        """Return what ``seen`` returns once that is true.

        Raises:
            X11Died: a program ended, or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not (value := seen()):
            self.check()
            if time.monotonic() > deadline:
                raise X11Died(f"{what} did not come within {timeout_s:g} s")
            time.sleep(_POLL_S)
        return value

    def abandon(self) -> None:
        """Tell the keeper to end everything, without waiting until it has."""
        stdin = self._keeper.stdin
        assert stdin is not None
        if not stdin.closed:
            stdin.close()

    def close(self) -> None:
        """Return once no process and no file of the session is left; twice is fine.

        Raises:
            X11Died: that took too long.
        """
        self.abandon()
        try:
            self._keeper.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise X11Died(f"a session's programs would not end: {self.folder}") from None
        assert self._keeper.stdout is not None
        self._keeper.stdout.close()
        # The keeper has done that, unless it was killed itself.
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self) -> None:
        stdout = self._keeper.stdout
        assert stdout is not None
        try:
            data = os.read(stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return
        if not data:
            raise X11Died("the keeper of the session was killed")
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            fact = json.loads(line)
            if "started" in fact:
                self.pids[fact["started"]] = fact["pid"]
            else:
                self._ended[fact["ended"]] = fact["status"]

    def _log(self, name: str) -> Path:
        return self.run_dir / f"{name}.log"

    def _last_line(self, name: str) -> str:
        try:
            lines = self._log(name).read_text(errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def open_session(parent: str) -> Session:
    """Make a session's folder under ``parent`` (empty: the system's place) and its keeper.

    Raises:
        X11Died: the folder cannot be made, or its path is too long for sockets.
    """
    place = parent or tempfile.gettempdir()
    try:
        folder = Path(tempfile.mkdtemp(prefix="desktop-", dir=place))
        (folder / "Home").mkdir()
        (folder / "run").mkdir(mode=0o700)
    except OSError as error:
        raise X11Died(f"no folder for a session in {place}: {error.strerror}") from None
    if len(os.fsencode(folder)) > _MOST_PATH_BYTES:
        (folder / "Home").rmdir()
        (folder / "run").rmdir()
        folder.rmdir()
        raise X11Died(f"{folder} is too long a path for sockets", "Choose a shorter folder.")
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_KEEPER), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert keeper.stdout is not None
    os.set_blocking(keeper.stdout.fileno(), False)
    return Session(folder, keeper)
