"""Runs the programs of one session and leaves none of them behind, nor any file.

This is a process of its own, started by ``session.py``. It adopts whatever its programs
leave behind (the kernel hands orphans to a "subreaper"), so that a program which puts
itself in the background is found all the same. Its standard input is the owner's hand:
once that ends, however the owner ended, everything is killed and the session's folder
is deleted. Only the standard library is used, for a quick start.

A line of input is a program to run: ``{"name", "argv", "env", "cwd", "out", "log"}``.
A line of output says ``{"started": name, "pid": pid}`` or
``{"ended": name, "status": exit status, negative where a signal ended it}``.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import sys
import time
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_S = 1.0
_DISPLAY_SERVER = "Xvfb"
_prctl = ctypes.CDLL(None).prctl


class Keeper:
    """The programs of one session, by process id."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._display_server = 0

    def run(self, order: dict[str, Any]) -> None:
        """Start one program; it dies with this process should that be killed."""
        pid = os.fork()
        if pid == 0:
            try:
                _become(order)
            finally:
                os._exit(127)
        self._names[pid] = order["name"]
        if order["name"] == _DISPLAY_SERVER:
            self._display_server = pid
        say({"started": order["name"], "pid": pid})

    def reap(self) -> None:
        """Collect what has ended and tell of the programs that were asked for."""
        for pid, status in _ended():
            name = self._names.pop(pid, "")
            if name:
                say({"ended": name, "status": os.waitstatus_to_exitcode(status)})

    def end(self) -> None:
        """Kill every process of the session; the display server may tidy up after itself."""
        server = self._display_server
        deadline = time.monotonic() + _GRACE_S
        while True:
            late = time.monotonic() > deadline
            living = _descendants()
            for pid in living:
                polite = pid == server and not late
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM if polite else signal.SIGKILL)
            for _ in _ended():
                pass
            if not living:
                break
            time.sleep(0.004)
        _remove_lock(server)


def main() -> None:
    """Obey the owner until it is gone, then leave nothing."""
    folder, parent = sys.argv[1], os.getppid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    keeper = Keeper()
    try:
        _obey(keeper, woken, parent)
    finally:
        keeper.end()
        shutil.rmtree(folder, ignore_errors=True)


def _obey(keeper: Keeper, woken: int, parent: int) -> None:
    unread = b""
    # A fork of the owner may hold its end of the pipe open: its death shows here, too.
    while os.getppid() == parent:
        ready, _, _ = select.select([0, woken], [], [], 0.5)
        if woken in ready:
            os.read(woken, 4096)
            keeper.reap()
        if 0 in ready:
            data = os.read(0, 1 << 16)
            if not data:
                return
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                keeper.run(json.loads(line))


def say(fact: dict[str, Any]) -> None:
    """Tell the owner; one that is gone will be noticed at the other end."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(fact).encode() + b"\n")


def _become(order: dict[str, Any]) -> None:
    """Turn this fork into the program."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.setsid()
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    log = os.open(order["log"], flags, 0o600)
    out = os.open(order["out"], flags, 0o600) if order.get("out") else log
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (log, 2)):
        os.dup2(source, target)
    os.closerange(3, 256)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.chdir(order["cwd"])
    try:
        os.execvpe(order["argv"][0], order["argv"], order["env"])
    except OSError as error:
        os.write(2, f"{order['argv'][0]}: {error}\n".encode())


def _ended() -> list[tuple[int, int]]:
    """Return (process id, status) of the children that have ended."""
    ended: list[tuple[int, int]] = []
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended.append((pid, status))
    return ended


def _descendants() -> list[int]:
    """Return the process ids below this one, zombies that are not ours to reap left out."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{entry}/stat", "rb") as stat:
                # The name in brackets may hold anything; what follows the last one is plain.
                fields = stat.read().rpartition(b")")[2].split()
            parents[int(entry)] = int(fields[1])
    below, found = [os.getpid()], list[int]()
    while below:
        above = below.pop()
        children = [pid for pid, parent in parents.items() if parent == above]
        found += children
        below += children
    return found


def _remove_lock(server: int) -> None:
    """Delete the lock and the socket of a display server that could not do so itself."""
    if not server:
        return
    for entry in os.listdir("/tmp"):
        if entry.startswith(".X") and entry.endswith("-lock"):
            with contextlib.suppress(OSError, ValueError):
                with open(f"/tmp/{entry}") as lock:
                    mine = int(lock.read()) == server
                if mine:
                    os.unlink(f"/tmp/.X11-unix/X{entry[2:-5]}")
                    os.unlink(f"/tmp/{entry}")


if __name__ == "__main__":
    main()
