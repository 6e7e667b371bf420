"""Any desktop in a process of its own, so that a slow or heavy one never stalls the window."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from data_collection.action import Action
from data_collection.clock import Clock, SystemClock
from data_collection.desktops.desktop import Desktop, WarmStart
from data_collection.events import Event
from data_collection.trace import Frame

_POLL_S = 0.004


class DesktopDied(RuntimeError):
    """The desktop's process is gone, stuck or broken; the message says how."""


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """What runs in the child process, and how long to wait for it.

    ``factory`` is ``module:function``; called with ``arguments`` in the child, it returns
    the desktop. The arguments have to be picklable.
    """

    factory: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    start_timeout_s: float = 120.0
    step_timeout_s: float = 20.0
    close_timeout_s: float = 1.0


@dataclass(frozen=True, slots=True)
class _Request:
    verb: str
    argument: Any = None


@dataclass(frozen=True, slots=True)
class _Reply:
    """What the child answers; after one with a ``shape`` the bytes of a frame follow."""

    label: str = ""
    shape: tuple[int, ...] = ()
    value: Any = None
    error: str = ""


class ProcessDesktop:
    """A desktop whose work happens in a child process.

    ``start`` returns at once and ``ready`` tells when the child is up. While a call waits
    for the child it calls ``on_wait`` every few milliseconds, where a window can go on
    taking input. The child ends when its parent does, however the parent ends.
    """

    def __init__(self, config: ProcessConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.name = config.factory
        self.width_px = 0
        self.height_px = 0
        self.on_wait: Callable[[], None] | None = None
        self._clock = clock or SystemClock()
        self._label = ""
        self._ready = False
        self._end = "not started"
        self._child: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def start(self) -> None:
        """Start the child and return without waiting for it."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = dict(self.config.arguments)
        self._child = context.Process(
            target=_serve, args=(theirs, self.config.factory, arguments), daemon=True
        )
        self._child.start()
        # With our copy of the child's end open, its death would not be the end of the pipe.
        theirs.close()

    @property
    def ready(self) -> bool:
        """Whether the desktop is up.

        Raises:
            DesktopDied: it could not be made.
        """
        if not self._ready and self._poll(0.0):
            self._greet()
        return self._ready

    @property
    def label(self) -> str:
        """The label that came with the newest frame."""
        return self._label

    def wait_ready(self) -> None:
        """Return once the desktop is up.

        Raises:
            DesktopDied: it could not be made, or not in time.
        """
        if not self._ready:
            self._await(self.config.start_timeout_s)
            self._greet()

    def reset(self, seed: int) -> Frame:
        """Start afresh and return the first frame.

        Raises:
            DesktopDied: as with every call that needs the child.
        """
        return self._frame_of(_Request("reset", seed))

    def step(self, events: Sequence[Event]) -> Frame:
        """Take one period's events, advance one tick, return the frame."""
        return self._frame_of(_Request("step", tuple(events)))

    def state(self) -> dict[str, Any]:
        """Return the desktop's readable state."""
        state: dict[str, Any] = self._ask(_Request("state")).value
        return state

    def warm_start(self, frames: Sequence[Frame], actions: Sequence[Action]) -> None:
        """Hand over another desktop's last frames; a desktop that cannot use them ignores them."""
        self._ask(_Request("warm_start", (list(frames), list(actions))))

    def close(self) -> None:
        """End the child; closing twice is fine."""
        self._end = "closed"
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._child is not None:
            self._child.join(self.config.close_timeout_s)
            if self._child.is_alive():
                self._child.kill()
                self._child.join()
            self._child = None

    def _frame_of(self, request: _Request) -> Frame:
        reply = self._ask(request)
        try:
            pixels = self._open_pipe().recv_bytes()
        except (EOFError, OSError):
            raise self._died("its process ended in the middle of a frame") from None
        return np.frombuffer(pixels, dtype=np.uint8).reshape(reply.shape)

    def _ask(self, request: _Request) -> _Reply:
        self.wait_ready()
        try:
            self._open_pipe().send(request)
        except OSError:
            raise self._died("its process ended") from None
        self._await(self.config.step_timeout_s)
        reply = self._receive()
        self._label = reply.label
        return reply

    def _await(self, timeout_s: float) -> None:
        """Wait until the child has answered, keeping ``on_wait`` alive."""
        deadline_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        while not self._poll(_POLL_S):
            if self.on_wait is not None:
                self.on_wait()
            if self._clock.monotonic_ns() > deadline_ns:
                raise self._died(f"no answer for {timeout_s:g} s")

    def _poll(self, timeout_s: float) -> bool:
        try:
            return self._open_pipe().poll(timeout_s)
        except OSError:
            # Windows reports a broken pipe here, others when the reply is read.
            raise self._died("its process ended") from None

    def _greet(self) -> None:
        reply = self._receive()
        self.name, self.width_px, self.height_px = reply.value
        self._label = reply.label
        self._ready = True

    def _receive(self) -> _Reply:
        try:
            reply: _Reply = self._open_pipe().recv()
        except (EOFError, OSError):
            raise self._died("its process ended") from None
        if reply.error:
            raise self._died(reply.error)
        return reply

    def _open_pipe(self) -> Connection:
        if self._pipe is None:
            raise DesktopDied(f"{self.name}: {self._end}")
        return self._pipe

    def _died(self, how: str) -> DesktopDied:
        """Put the child away and return the exception that tells of it."""
        if self._child is not None:
            self._child.kill()
        self.close()
        self._end = how
        return DesktopDied(f"{self.name}: {how}")


def _serve(pipe: Connection, factory: str, arguments: dict[str, Any]) -> None:
    """Run a desktop in the child until the pipe ends."""
    # Ctrl-C reaches the whole process group; the parent decides when the desktop ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        desktop = _make(factory, arguments)
    except Exception as error:
        pipe.send(_Reply(error=_in_a_line(error)))
        return
    size = (desktop.name, desktop.width_px, desktop.height_px)
    try:
        pipe.send(_Reply(label=desktop.label, value=size))
        while True:
            _answer(pipe, desktop, pipe.recv())
    except (EOFError, OSError):
        pass
    except Exception as error:
        pipe.send(_Reply(error=_in_a_line(error)))
    finally:
        desktop.close()


def _answer(pipe: Connection, desktop: Desktop, request: _Request) -> None:
    if request.verb in ("reset", "step"):
        act = desktop.reset if request.verb == "reset" else desktop.step
        frame = np.ascontiguousarray(act(request.argument))
        pipe.send(_Reply(label=desktop.label, shape=frame.shape))
        pipe.send_bytes(frame.reshape(-1).data)
        return
    value = None
    if request.verb == "state":
        value = desktop.state()
    elif isinstance(desktop, WarmStart):
        desktop.warm_start(*request.argument)
    pipe.send(_Reply(label=desktop.label, value=value))


def _make(factory: str, arguments: dict[str, Any]) -> Desktop:
    module, _, function = factory.partition(":")
    desktop: Desktop = getattr(importlib.import_module(module), function)(**arguments)
    return desktop


def _end_with_parent() -> None:
    """End this process with its parent, even while the desktop is busy or stuck."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _in_a_line(error: Exception) -> str:
    """Return an exception and where it came from, for one line of a message."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({os.path.basename(last.filename)}:{last.lineno})"
