"""Sends stored traces to a server, over the protocol by which a window's clips come."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from data_collection.clock import Clock
from data_collection.storage.codec import body_sha
from data_collection.streaming.push import Backoff
from data_collection.trace import TraceHeader

PATIENCE_S = 30.0
"""How long a server may be away before it is given up."""
_KEPT = ("opened", "accepted", "duplicate")


class ServerAway(ConnectionError):
    """The server cannot be reached, or could not do its part for too long."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{url} does not answer: {why}")
        self.hint = "The same command goes on where this one ended."


class SenderNotAllowed(PermissionError):
    """The token is unknown to the server, or may not send clips."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the server did not take a trace (``clip`` None) or a clip of it."""

    trace: str
    clip: int | None
    code: str
    hint: str


class TraceSender:
    """Opens traces and puts clips; doing so again changes nothing.

    Args:
        client: an HTTP client with the server's base URL, a collector's token and time-outs.
        clock: measures how long the server has been away.
        backoff: how long to wait between failed attempts.
        patience_s: when to give up.
    """

    def __init__(
        self,
        client: httpx.Client,
        clock: Clock,
        backoff: Backoff | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._client = client
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._patience_s = patience_s

    def open(self, header: TraceHeader) -> Refusal | None:
        """Open a trace; return why not where the server refuses it.

        Raises:
            ServerAway: the server is gone.
            SenderNotAllowed: the token may not send.
        """
        answer = self._ask("PUT", f"/traces/{header.trace_id}", json=header.to_json())
        return _refusal(answer, header.trace_id, None)

    def present(self, trace_id: str) -> frozenset[int]:
        """Return the clips that the server says it has; none where the token may not ask."""
        try:
            answer = self._ask("GET", f"/traces/{trace_id}")
        except SenderNotAllowed:
            return frozenset()
        return frozenset(answer.json()["present"]) if answer.is_success else frozenset()

    def put(self, trace_id: str, seq: int, body: bytes) -> Refusal | None:
        """Send a clip; once this returns None it is durable there.

        Args:
            trace_id: an opened trace.
            seq: the clip's number.
            body: what ``encode_clip`` returned.

        Raises:
            ServerAway: the server is gone.
            SenderNotAllowed: the token may not send.
        """
        headers = {"Content-Type": "application/octet-stream", "X-Body-SHA256": body_sha(body)}
        path = f"/traces/{trace_id}/clips/{seq}"
        return _refusal(self._ask("PUT", path, content=body, headers=headers), trace_id, seq)

    def _ask(self, method: str, path: str, **options: object) -> httpx.Response:
        """Send a request until the server has dealt with it."""
        begun_ns = self._clock.monotonic_ns()
        failures = 0
        while True:
            try:
                response = self._client.request(method, path, **options)  # type: ignore[arg-type]
                if response.status_code in (401, 403):
                    raise SenderNotAllowed(f"the server answers {response.status_code} to {path}")
                if response.status_code < 500 and response.status_code not in (408, 429):
                    return response
                why = f"{response.status_code} {_field(response, 'hint')}".rstrip()
            except httpx.TransportError as error:
                why = f"{type(error).__name__}: {error}"
            failures += 1
            if self._clock.monotonic_ns() - begun_ns > self._patience_s * 1e9:
                raise ServerAway(str(self._client.base_url), why)
            self._clock.sleep(self._backoff.wait_s(failures))


def _refusal(answer: httpx.Response, trace_id: str, seq: int | None) -> Refusal | None:
    outcome = _field(answer, "outcome")
    if answer.is_success and outcome in _KEPT:
        return None
    code = _field(answer, "code") if outcome == "quarantined" else outcome
    hint = _field(answer, "hint") or f"the server answered {answer.status_code} {outcome}"
    return Refusal(trace_id, seq, code or f"http_{answer.status_code}", hint)


def _field(response: httpx.Response, name: str) -> str:
    try:
        answer = response.json()
    except ValueError:
        return ""
    return str(answer.get(name, "")) if isinstance(answer, dict) else ""
