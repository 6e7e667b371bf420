"""Sends a spool's clips to the server and deletes each once it is answered for."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from enum import Enum

import httpx

from data_collection.clock import Clock
from data_collection.streaming.spool import Spool, SpooledClip, Withdrawal

_LOOK_AGAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a further attempt, doubling from first to longest."""

    first_s: float = 0.25
    longest_s: float = 5.0

    def wait_s(self, failures: int) -> float:
        """Return the wait after so many failures in a row."""
        return min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 32))


@dataclass(frozen=True, slots=True)
class PushStatus:
    """What has become of the clips so far.

    ``sent`` counts attempts; ``withdrawn`` clips that came too late for their trace;
    ``withdrawals`` requests to destroy clips that were answered; ``away_since_ns`` is the
    monotonic time of the first of the failures in a row, 0 while the server answers.
    """

    sent: int = 0
    acknowledged: int = 0
    quarantined: int = 0
    set_aside: int = 0
    withdrawn: int = 0
    withdrawals: int = 0
    failures: int = 0
    away_since_ns: int = 0
    last_error: str = ""


class _Answer(Enum):
    """What the server's answer means for the clip."""

    KEPT = "acknowledged"
    QUARANTINED = "quarantined"
    WITHDRAWN = "withdrawn"
    REFUSED = "set_aside"
    """Sending it again changes nothing, and the server did not keep it."""
    RETRY = "retry"


class Pusher:
    """A thread that sends what the spool holds, oldest first, for as long as it takes.

    Withdrawals go before clips. One that fails lets a clip pass, so that a server that
    takes no withdrawals still takes clips.

    Args:
        spool: where the clips wait.
        client: an HTTP client with the ingest's base URL, token and time-outs.
        clock: tells since when the server has been away.
        backoff: how long to wait between failed attempts.
    """

    def __init__(
        self, spool: Spool, client: httpx.Client, clock: Clock, backoff: Backoff = Backoff()
    ) -> None:
        self._spool = spool
        self._client = client
        self._clock = clock
        self._backoff = backoff
        self._status = PushStatus()
        self._opened: set[str] = set()
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pusher", daemon=True)

    @property
    def status(self) -> PushStatus:
        """The counters as they are now."""
        return self._status

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def stop(self, drain_s: float) -> int:
        """Send what is left for at most ``drain_s``, then stop.

        Returns:
            How many clips stay in the spool, for the next start.
        """
        self._draining.set()
        self._thread.join(drain_s)
        self._stopping.set()
        self._thread.join()
        return len(self._spool.pending())

    def _work(self) -> None:
        clips_first = False
        while not self._stopping.is_set():
            item = self._spool.wait(_LOOK_AGAIN_S, clips_first)
            clips_first = False
            if item is None:
                if self._draining.is_set() and not self._spool.busy:
                    return
                continue
            try:
                if isinstance(item, Withdrawal):
                    clips_first = not self._attempt_withdrawal(item)
                else:
                    self._attempt(item)
            except Exception as failure:  # the thread must outlive whatever one attempt meets
                clips_first = isinstance(item, Withdrawal)
                self._fail(item.trace_id, f"{type(failure).__name__}: {failure}")

    def _attempt_withdrawal(self, item: Withdrawal) -> bool:
        """Ask the server to destroy clips; False if it did not say that it has."""
        response = self._client.delete(
            f"/traces/{item.trace_id}/clips", params={"first": item.first, "last": item.last}
        )
        # A trace that it never heard of has nothing to destroy.
        unknown = response.status_code == 404 and _field(response, "outcome") == "unknown_trace"
        if not (response.is_success or unknown):
            self._fail(item.trace_id, _error(response))
            return False
        self._spool.settle(item)
        self._note("withdrawals", "")
        return True

    def _attempt(self, clip: SpooledClip) -> None:
        body = self._spool.body(clip)
        if body is None:
            self._spool.acknowledge(clip)
            return
        answer, error = self._send(clip, body)
        if answer is _Answer.RETRY:
            self._fail(clip.trace_id, error)
            return
        if answer is _Answer.REFUSED:
            self._spool.set_aside(clip, "refused", error)
        else:
            self._spool.acknowledge(clip)
        self._note(answer.value, error)

    def _note(self, counter: str, error: str) -> None:
        self._status = replace(
            self._status,
            failures=0,
            away_since_ns=0,
            last_error=error or self._status.last_error,
            **{counter: getattr(self._status, counter) + 1},
        )

    def _fail(self, trace_id: str, error: str) -> None:
        # The server may be another one by the next attempt: the trace is announced again.
        self._opened.discard(trace_id)
        self._status = replace(
            self._status,
            failures=self._status.failures + 1,
            away_since_ns=self._status.away_since_ns or self._clock.monotonic_ns(),
            last_error=error,
        )
        self._stopping.wait(self._backoff.wait_s(self._status.failures))

    def _send(self, clip: SpooledClip, body: bytes) -> tuple[_Answer, str]:
        if clip.trace_id not in self._opened:
            header = self._spool.header(clip.trace_id).to_json()
            opened = self._client.put(f"/traces/{clip.trace_id}", json=header)
            answer = _meaning(opened)
            if answer is not _Answer.KEPT:
                return answer, _error(opened)
            self._opened.add(clip.trace_id)
        self._status = replace(self._status, sent=self._status.sent + 1)
        response = self._client.put(
            f"/traces/{clip.trace_id}/clips/{clip.seq}",
            content=body,
            headers={
                "Content-Type": "application/octet-stream",
                "X-Body-SHA256": hashlib.sha256(body).hexdigest(),
            },
        )
        answer = _meaning(response)
        return answer, "" if answer is _Answer.KEPT else _error(response)


def _meaning(response: httpx.Response) -> _Answer:
    """Read the status and the outcome; what is not understood is tried again."""
    if response.is_success:
        return _Answer.KEPT
    outcome = _field(response, "outcome")
    if response.status_code == 422 and outcome == "quarantined":
        return _Answer.QUARANTINED
    if response.status_code == 410 and outcome == "withdrawn":
        return _Answer.WITHDRAWN
    # Whatever stands before the server may say that a body is too large, in its own words.
    if response.status_code == 413 or outcome in ("conflict", "bad_request", "too_large"):
        return _Answer.REFUSED
    return _Answer.RETRY


def _error(response: httpx.Response) -> str:
    outcome, hint = _field(response, "outcome"), _field(response, "hint")
    return f"{response.status_code} {outcome} {hint}".rstrip()[:300]


def _field(response: httpx.Response, name: str) -> str:
    try:
        answer = response.json()
    except ValueError:
        return ""
    return str(answer.get(name, "")) if isinstance(answer, dict) else ""
