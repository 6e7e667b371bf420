"""Jobs of a run: dry runs, replays and the like, one process at a time, beside the training."""

from __future__ import annotations

import json
import secrets
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from experiments import children
from experiments.jobs.requests import JobRequest
from interactive.record.durable import write_whole
from interactive.record.run_folder import RunFolder

QUEUED, RUNNING = "queued", "running"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
MAX_QUEUED = 16
MAX_KEPT = 200
END_S = 10.0
_RECORD = "job.json"


class QueueFull(Exception):
    """Enough jobs wait already."""


@dataclass(slots=True)
class Job:
    """One piece of work; its file has one writer, the server."""

    job_id: str
    number: int
    kind: str
    request: Mapping[str, Any]
    issuer: str
    state: str = QUEUED
    progress: dict[str, int] = field(default_factory=lambda: {"done": 0, "total": 0})
    result: Mapping[str, Any] | None = None
    error: Mapping[str, str] | None = None

    @property
    def is_over(self) -> bool:
        """Return whether nothing more will become of it."""
        return self.state in (DONE, FAILED, CANCELLED)


Start = Callable[[RunFolder, Job], "subprocess.Popen[bytes]"]
"""Starts the process of a job, which says what it does line by line."""


class Jobs:
    """The queue of a run's jobs, kept in ``jobs/``; a thread runs them one by one.

    Jobs that waited when the server ended are run by the next one. One that was running
    is reported as failed: what it had made is there, but nobody knows how far it came.

    Args:
        folder: the run.
        start: starts a job's process.
    """

    def __init__(self, folder: RunFolder, start: Start | None = None) -> None:
        self._folder = folder
        self._start = start or start_process
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._jobs = {job.job_id: job for job in _read_jobs(folder)}
        for job in self._jobs.values():
            if job.state == RUNNING:
                self._end(job, FAILED, error=_error("server_ended", "the server ended meanwhile"))
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    def add(self, request: JobRequest, issuer: str) -> Job:
        """Queue a job; it is on disk when this returns.

        Raises:
            QueueFull: too many wait.
        """
        with self._changed:
            if sum(job.state == QUEUED for job in self._jobs.values()) >= MAX_QUEUED:
                raise QueueFull(f"{MAX_QUEUED} jobs wait already")
            number = max((job.number for job in self._jobs.values()), default=0) + 1
            job_id = f"job-{number:04d}-{secrets.token_hex(4)}"
            shown = request.model_dump(mode="json", exclude_none=True)
            job = Job(job_id, number, request.kind, shown, issuer)
            (self._folder.jobs / job_id).mkdir(parents=True)
            self._write(job)
            self._jobs[job_id] = job
            self._forget_oldest()
            self._changed.notify_all()
            return job

    def find(self, job_id: str) -> Job | None:
        """Return a job, or None where none has this id."""
        with self._lock:
            return self._jobs.get(job_id)

    def all(self) -> list[Job]:
        """Return the jobs, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def cancel(self, job_id: str) -> Job | None:
        """End a job or take it out of the queue; one that is over stays as it is."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or job.is_over:
                return job
            child = self._child if job.state == RUNNING else None
            self._end(job, CANCELLED)
        if child is not None:
            _end_child(child)
        return job

    def close(self) -> None:
        """End the running job, which is reported as cancelled, and start no other."""
        with self._changed:
            self._closed = True
            child = self._child
            for job in self._jobs.values():
                if job.state == RUNNING:
                    error = _error("server_ended", "the server ended; ask again")
                    self._end(job, CANCELLED, error=error)
            self._changed.notify_all()
        if child is not None:
            _end_child(child)
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                job = self._next()
                while job is None and not self._closed:
                    self._changed.wait()
                    job = self._next()
                if job is None or self._closed:
                    return
                job.state = RUNNING
                self._write(job)
                try:
                    child = self._child = self._start(self._folder, job)
                except OSError as error:
                    self._end(job, FAILED, error=_error("not_started", str(error)))
                    continue
            self._listen(job, child)
            with self._lock:
                self._child = None

    def _listen(self, job: Job, child: subprocess.Popen[bytes]) -> None:
        """Take in what a job's process says, to its end."""
        said: dict[str, Any] = {}
        assert child.stdout is not None
        for line in child.stdout:
            try:
                obj = json.loads(line)
            except ValueError:
                continue
            if isinstance(obj, dict):
                said |= obj
                with self._lock:
                    if "progress" in obj:
                        job.progress = obj["progress"]
        status = child.wait()
        with self._lock:
            if job.is_over:
                return
            if "result" in said:
                self._end(job, DONE, result=said["result"])
            elif "error" in said:
                self._end(job, FAILED, error=said["error"])
            else:
                self._end(job, FAILED, error=_error("died", f"it ended with status {status}"))

    def _next(self) -> Job | None:
        return next((job for job in self._jobs.values() if job.state == QUEUED), None)

    def _end(
        self,
        job: Job,
        state: str,
        *,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, str] | None = None,
    ) -> None:
        # On disk before anybody hears of it; the state last, for readers without the lock.
        self._write(replace(job, state=state, result=result, error=error))
        job.result, job.error = result, error
        job.state = state

    def _write(self, job: Job) -> None:
        text = json.dumps(asdict(job), indent=1) + "\n"
        write_whole(self._folder.jobs / job.job_id / _RECORD, text)

    def _forget_oldest(self) -> None:
        over = [job.job_id for job in self._jobs.values() if job.is_over]
        for job_id in over[: max(0, len(self._jobs) - MAX_KEPT)]:
            del self._jobs[job_id]  # its files stay


def start_process(folder: RunFolder, job: Job) -> subprocess.Popen[bytes]:
    """Start a job's process; it ends when its standard input closes."""
    part = folder.jobs / job.job_id
    words = ["job", str(folder.path), json.dumps(job.request), str(part / "out")]
    return children.start_heard(words, part / "job.log")


def _end_child(child: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and kill it at the time limit: what it makes may be cut anywhere."""
    if child.stdin is not None and not child.stdin.closed:
        child.stdin.close()
    try:
        child.wait(END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _error(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message, "hint": "its log is in the run's jobs folder"}


def _read_jobs(folder: RunFolder) -> list[Job]:
    found = []
    for file in folder.jobs.glob(f"*/{_RECORD}"):
        try:
            found.append(Job(**json.loads(file.read_text("utf-8"))))
        except (OSError, ValueError, TypeError):
            continue
    return sorted(found, key=lambda job: job.number)[-MAX_KEPT:]
