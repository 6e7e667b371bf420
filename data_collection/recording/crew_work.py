"""One worker of a crew: a process with a desktop of its own that collects traces as told."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Union

from data_collection.clock import SystemClock
from data_collection.desktops.desktop import Desktop
from data_collection.recording.collect import RealTime, collect, synthetic_header
from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip
from data_collection.trace import Clip, TraceHeader
from data_collection.users import make_user

_CLIPS_IN_MEMORY = 4
_GRACE_S = 10.0
"""How long a worker without a parent may take to close its desktop."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where each worker sits: its desktop, who acts, and whether time is real.

    ``factory`` is ``module:function``; called with ``arguments`` (picklable) in the worker,
    it returns a desktop of that worker's own. ``user`` is the name of a scripted user.
    """

    factory: str
    user: str
    source: str
    real_time: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """A trace to make: ``clips`` seconds, less those that are ``present`` already."""

    trace_id: str
    seed: int
    clips: int
    present: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Begun:
    """The worker has made the trace's header."""

    header: TraceHeader


@dataclass(frozen=True, slots=True)
class Made:
    """A clip of the trace at hand."""

    encoded: EncodedClip


@dataclass(frozen=True, slots=True)
class Ended:
    """The trace at hand is over; ``reason`` says why it ended early, if it did.

    ``late`` counts frames that came more than half a period late, ``lost_ms`` the time that
    was given up where the desktop fell behind.
    """

    reason: str = ""
    hint: str = ""
    late: int = 0
    lost_ms: float = 0.0


Report = Union[Begun, Made, Ended]


def work(pipe: Connection, seat: Seat) -> None:
    """Take jobs from the pipe, one after another, until it ends; an empty message stops one."""
    # Ctrl-C reaches the whole group of processes; the parent decides when a worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    desktop: Desktop | None = None
    try:
        while True:
            job = pipe.recv()
            if not isinstance(job, Job):
                continue
            try:
                desktop = desktop or _build(seat.factory, seat.arguments)
                ended = _make_trace(pipe, seat, job, desktop)
            except (EOFError, BrokenPipeError):
                return
            except Exception as error:  # whatever a desktop dies of, the crew goes on
                _close(desktop)
                desktop = None
                ended = Ended(f"{type(error).__name__}: {error}", str(getattr(error, "hint", "")))
            pipe.send(ended)
    except (EOFError, OSError):
        pass
    finally:
        _close(desktop)


def _build(factory: str, arguments: Mapping[str, Any]) -> Desktop:
    module, _, function = factory.partition(":")
    desktop: Desktop = getattr(importlib.import_module(module), function)(**arguments)
    return desktop


def _make_trace(pipe: Connection, seat: Seat, job: Job, desktop: Desktop) -> Ended:
    clock = SystemClock()
    header = synthetic_header(
        job.trace_id,
        desktop,
        seed=job.seed,
        source=seat.source,
        policy=seat.user,
        clock=clock if seat.real_time else None,
        versions=getattr(desktop, "versions", None),
    )
    pipe.send(Begun(header))
    timing = RealTime(clock, header.fps) if seat.real_time else None
    # In real time a clip cut short is worth keeping; a drawn one is made whole another day.
    told = _Told(pipe)
    user = make_user(seat.user)
    if seat.real_time:
        clips = collect(desktop, user, header, job.clips, timing, told)
    else:
        clips = collect(desktop, user, header, job.clips)
    # Closed even where the desktop dies: the clips that were whole by then are kept.
    with closing(clips), closing(_Sender(pipe, background=seat.real_time)) as sender:
        for clip in clips:
            if clip.seq not in job.present:
                sender.put(clip)
            if not seat.real_time and told():
                break
    reason = "interrupted" if told.stop else ""
    if timing is None:
        return Ended(reason)
    return Ended(reason, late=timing.late, lost_ms=round(timing.lost_ns / 1e6, 1))


class _Told:
    """Asks the pipe whether the parent wants the trace to end."""

    def __init__(self, pipe: Connection) -> None:
        self.stop = False
        self._pipe = pipe

    def __call__(self) -> bool:
        if not self.stop and self._pipe.poll():
            self._pipe.recv()
            self.stop = True
        return self.stop


class _Sender:
    """Encodes and sends clips: at once, or in a thread where frames must not wait for it."""

    def __init__(self, pipe: Connection, background: bool) -> None:
        self._pipe = pipe
        self._waiting: queue.Queue[Clip | None] = queue.Queue(_CLIPS_IN_MEMORY)
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True) if background else None
        if self._thread is not None:
            self._thread.start()

    def put(self, clip: Clip) -> None:
        """Send a clip, or have it sent.

        Raises:
            OSError: the parent is gone.
        """
        if self._failure is not None:
            raise self._failure
        if self._thread is None:
            self._send(clip)
        else:
            self._waiting.put(clip)

    def close(self) -> None:
        """Return once all clips are sent."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (clip := self._waiting.get()) is not None:
            try:
                self._send(clip)
            except OSError as error:
                self._failure = error

    def _send(self, clip: Clip) -> None:
        self._pipe.send(Made(EncodedClip.of(clip, encode_clip(clip))))


def _close(desktop: Desktop | None) -> None:
    if desktop is not None:
        desktop.close()


def _end_with_parent() -> None:
    """End this process with its parent, even while its desktop is busy or stuck."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        time.sleep(_GRACE_S)
        os._exit(1)
