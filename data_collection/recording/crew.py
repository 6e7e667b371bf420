"""A crew of workers that make traces side by side; the process that leads them stores them."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Protocol

from data_collection.clock import Clock
from data_collection.recording.crew_work import Begun, Ended, Job, Made, Report, Seat, work
from data_collection.storage.store import EncodedClip, TraceOpening, TraceStore
from data_collection.trace import TraceHeader

_LOOK_AGAIN_S = 0.1
_STOPPING_S = 15.0
"""How long a worker may take to end once it was told to."""
_SILENCE_S = 180.0
"""How long a worker may say nothing: a desktop comes up, then a clip takes a second."""
_DYING_S = 1.0


class JobRefused(Exception):
    """A trace that a worker began cannot be stored."""


class Keeper(Protocol):
    """Where a crew's traces go."""

    def keep(self, header: TraceHeader, encoded: EncodedClip) -> None:
        """Take a clip, and with the first one its trace; it is durable on return.

        Raises:
            JobRefused: the trace's id is another trace's.
            OSError: the disk refused.
        """
        ...


class StoreKeeper:
    """Keeps a crew's traces in a store, of which the crew's leader is the only writer."""

    def __init__(self, store: TraceStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._opened: set[str] = set()

    def keep(self, header: TraceHeader, encoded: EncodedClip) -> None:
        """Store a clip, durably; a trace that never gave one leaves nothing.

        Raises:
            JobRefused: the trace's id is another trace's, or it is withdrawn.
        """
        if header.trace_id not in self._opened:
            opening = self._store.open_trace(header)
            if opening in (TraceOpening.DIFFERENT, TraceOpening.WITHDRAWN):
                raise JobRefused(f"{header.trace_id} is stored already, {opening.value}")
            self._opened.add(header.trace_id)
        self._store.append(header, encoded, self._clock.wall_s())


@dataclass(slots=True)
class _Worker:
    """A worker's process, its pipe, the job it is at, and when it was last heard of."""

    process: BaseProcess
    pipe: Connection
    heard_ns: int
    job: Job | None = None
    header: TraceHeader | None = None


class Crew:
    """Leads workers through jobs.

    A worker that dies is replaced while there are jobs left; the trace it was at ends with
    what was kept by then. What a worker sends waits in its pipe while another's is stored,
    so that no more than a few clips are in memory.

    Args:
        seat: where each worker sits.
        workers: how many work at the same time.
        keeper: where the traces go.
        clock: finds the workers that are stuck.
        on_clip: called after each clip that was kept.
        on_end: called after each job, with what became of it.
    """

    def __init__(
        self,
        seat: Seat,
        workers: int,
        keeper: Keeper,
        clock: Clock,
        on_clip: Callable[[Job], None],
        on_end: Callable[[Job, Ended], None],
    ) -> None:
        self._seat = seat
        self._size = workers
        self._keeper = keeper
        self._clock = clock
        self._on_clip = on_clip
        self._on_end = on_end
        self._jobs: deque[Job] = deque()
        self._workers: list[_Worker] = []
        self._leaving: list[BaseProcess] = []
        self._stopping = False

    def run(self, jobs: Sequence[Job], until: Callable[[], bool] = lambda: False) -> None:
        """Do all jobs, or end early and cleanly once ``until()`` says so.

        Raises:
            OSError: the keeper could not keep a clip; the workers have been ended.
        """
        self._jobs = deque(jobs)
        self._stopping = False
        try:
            self._staff()
            while self._workers:
                for pipe in wait([worker.pipe for worker in self._workers], _LOOK_AGAIN_S):
                    self._hear(next(w for w in self._workers if w.pipe is pipe))
                if not self._stopping and until():
                    self._stop()
                self._bury_the_stuck()
                self._staff()
        finally:
            for worker in list(self._workers):
                self._dismiss(worker)
            for process in self._leaving:
                _end(process)
            self._leaving = []

    def _staff(self) -> None:
        """Give jobs to the idle and to new workers, as long as there are any."""
        for worker in [worker for worker in self._workers if worker.job is None]:
            self._give(worker)
        while self._jobs and len(self._workers) < self._size:
            worker = self._start()
            self._workers.append(worker)
            self._give(worker)

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self._seat), daemon=True)
        process.start()
        # With our copy of the worker's end open, its death would not be the end of the pipe.
        theirs.close()
        return _Worker(process, pipe, self._clock.monotonic_ns())

    def _give(self, worker: _Worker) -> None:
        if not self._jobs:
            self._dismiss(worker)
            return
        worker.job = self._jobs.popleft()
        worker.heard_ns = self._clock.monotonic_ns()
        try:
            worker.pipe.send(worker.job)
        except OSError:
            self._mourn(worker)

    def _stop(self) -> None:
        self._stopping = True
        self._jobs.clear()
        for worker in self._workers:
            worker.heard_ns = self._clock.monotonic_ns()
            # One that is dead says so by the end of its pipe.
            with suppress(OSError):
                worker.pipe.send("")

    def _bury_the_stuck(self) -> None:
        patience_s = _STOPPING_S if self._stopping else _SILENCE_S
        now_ns = self._clock.monotonic_ns()
        for worker in list(self._workers):
            if worker.job is not None and now_ns - worker.heard_ns > patience_s * 1e9:
                worker.process.kill()
                self._dismiss(worker)
                self._close_job(worker, Ended(f"its worker said nothing for {patience_s:g} s"))

    def _hear(self, worker: _Worker) -> None:
        try:
            report: Report = worker.pipe.recv()
        except (EOFError, OSError):
            self._mourn(worker)
            return
        worker.heard_ns = self._clock.monotonic_ns()
        match report:
            case Begun(header):
                worker.header = header
            case Made(encoded):
                self._keep(worker, encoded)
            case Ended():
                self._close_job(worker, report)

    def _keep(self, worker: _Worker, encoded: EncodedClip) -> None:
        job, header = worker.job, worker.header
        assert job is not None
        assert header is not None
        try:
            self._keeper.keep(header, encoded)
        except JobRefused as refusal:
            self._dismiss(worker)
            self._close_job(worker, Ended(str(refusal)))
        else:
            self._on_clip(job)

    def _mourn(self, worker: _Worker) -> None:
        """Report the job of a worker that died, and put the worker away."""
        self._dismiss(worker)
        worker.process.join(_DYING_S)
        if worker.job is not None:
            code = worker.process.exitcode
            self._close_job(worker, Ended(f"its worker died (exit code {code})"))

    def _dismiss(self, worker: _Worker) -> None:
        """Let a worker go: with its pipe at an end it closes its desktop and ends."""
        self._workers.remove(worker)
        self._leaving.append(worker.process)
        worker.pipe.close()

    def _close_job(self, worker: _Worker, ended: Ended) -> None:
        job, worker.job, worker.header = worker.job, None, None
        assert job is not None
        self._on_end(job, ended)


def _end(process: BaseProcess) -> None:
    """Wait for a worker that was let go, and kill it where it does not end."""
    process.join(_STOPPING_S)
    if process.is_alive():
        process.kill()
        process.join()
