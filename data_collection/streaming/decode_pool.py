"""Decodes strangers' clips in worker processes, so that a bad one costs a worker at most."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Union

import data_collection
from data_collection.streaming import decode_worker
from data_collection.streaming.clip_checks import Fault
from data_collection.streaming.decode_worker import CPU_SIGNAL
from data_collection.streaming.examine import Examined
from data_collection.trace import TraceHeader

_MODULE = decode_worker.__name__
_START_S = 60.0
_KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
}
"""The GNU allocator keeps a clip's memory for the next one: a third of the time otherwise."""
_ATTEMPTS = 2
"""A worker may die of what another program does; of a clip it dies again."""


class DecoderFailed(OSError):
    """No worker could be started; the clip is to be sent again."""


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """How many workers decode at once, and what each may take for one clip.

    ``cpu_s`` is processor time, four times what the largest clip takes; ``time_s`` bounds
    what the clock shows, generously, since the machine may be busy; ``memory_bytes`` bounds
    the address space. The first and the last hold where the system can.
    """

    workers: int = 2
    cpu_s: float = 20.0
    time_s: float = 120.0
    memory_bytes: int = 2**30


class DecodePool:
    """Examines clips in workers that are started when needed and replaced when dead.

    Safe to use from several threads; a thread waits while all workers are busy.

    Args:
        limits: of the workers.
        command: how to run a worker, without its arguments.
    """

    def __init__(
        self,
        limits: WorkerLimits = WorkerLimits(),
        command: tuple[str, ...] = (sys.executable, "-m", _MODULE),
    ) -> None:
        # The last one back is the first one out: the others need not even be started.
        self._free: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._workers = [_Worker(limits, command) for _ in range(limits.workers)]
        for worker in reversed(self._workers):
            self._free.put(worker)

    def start(self) -> None:
        """Start the first worker ahead of the first clip, without waiting for it."""
        worker = self._free.get()
        try:
            worker.start()
        finally:
            self._free.put(worker)

    def examine(self, header: TraceHeader, seq: int, body: bytes) -> Union[Examined, Fault]:
        """Decode and check a clip in a worker.

        Raises:
            DecoderFailed: no worker could be started.
        """
        worker = self._free.get()
        try:
            return worker.examine(header, seq, body)
        finally:
            self._free.put(worker)

    @property
    def pids(self) -> list[int]:
        """The processes of the workers that are started."""
        return [worker.pid for worker in self._workers if worker.pid]

    def close(self) -> None:
        """End the workers; what they are at is lost."""
        for worker in self._workers:
            worker.closed = True
            worker.end()


class _Worker:
    """One place for a process, empty until it is needed."""

    def __init__(self, limits: WorkerLimits, command: tuple[str, ...]) -> None:
        self._limits = limits
        self._command = (*command, str(limits.memory_bytes), str(limits.cpu_s), str(limits.time_s))
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self.closed = False

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self) -> None:
        if self.closed:
            raise DecoderFailed("the server is ending")
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment()
            )
        except OSError as error:
            raise DecoderFailed(f"no worker could be started: {error}") from error
        self._ready = False

    def examine(self, header: TraceHeader, seq: int, body: bytes) -> Union[Examined, Fault]:
        said = ""
        for _ in range(_ATTEMPTS):
            process = self._started()
            kill = _Kill(process, self._limits.time_s)
            try:
                with kill:
                    decode_worker.write_request(_pipe(process.stdin), header, seq, body)
                    answer = decode_worker.read_answer(_pipe(process.stdout))
            except (EOFError, OSError, ValueError, TypeError, KeyError) as error:
                self.end()
                if kill.done:
                    return Fault("decode_timeout", f"not decoded in {self._limits.time_s:g} s")
                if CPU_SIGNAL and process.returncode == -CPU_SIGNAL:
                    return Fault("decode_timeout", f"takes more than {self._limits.cpu_s:g} s")
                said = f"exit status {process.returncode}, {type(error).__name__}"
                continue
            if isinstance(answer, Fault) and answer.code == "decode_memory":
                self.end()
            return answer
        return Fault("decode_crashed", f"two workers died of it ({said})")

    def end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            # What was still to be written to the dead is lost with it.
            with contextlib.suppress(OSError):
                _pipe(pipe).close()

    def _started(self) -> subprocess.Popen[bytes]:
        """Return a process that has said that it is ready."""
        if self._process is not None and self._process.poll() is not None:
            self.end()
        if self._process is None:
            self.start()
        process = self._process
        assert process is not None
        if not self._ready:
            with _Kill(process, _START_S):
                greeting = _pipe(process.stdout).read(len(decode_worker.READY))
            if greeting != decode_worker.READY:
                self.end()
                raise DecoderFailed(f"a worker died at its start ({process.returncode})")
            self._ready = True
        return process


class _Kill:
    """Kills a process that is not done in time, so that whoever waits for it goes on."""

    def __init__(self, process: subprocess.Popen[bytes], after_s: float) -> None:
        self.done = False
        self._process = process
        self._timer = threading.Timer(after_s, self._kill)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _kill(self) -> None:
        self.done = True
        self._process.kill()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _environment() -> dict[str, str]:
    """Return the environment of a worker: this copy of the package, one thread."""
    root = str(Path(next(iter(data_collection.__path__))).parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return {**os.environ, **threads, **_KEEP_MEMORY, "PYTHONPATH": os.pathsep.join(paths)}
