"""How far the clock of a window's machine is from the server's: told, so that lags are honest.

A clip's time of capture is the window's wall clock. A window says with each request when it
sent it, and the server notes the smallest difference to its own clock for each trace: the two
clocks' difference, and at most the fastest request's way on top of it.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interactive.record.durable import write_whole
from interactive.record.run_folder import RunFolder

SENT_HEADER = "X-Sent-Wall-S"
SURE_S = 1.0
"""A difference below this may be the network's; above it, it is another clock."""

_CLOSER_S = 0.05
_PATH_PARTS = 2


def stamp_with(wall_s: Callable[[], float]) -> Callable[[httpx.Request], None]:
    """Return an httpx request hook that says when a request was sent."""

    def stamp(request: httpx.Request) -> None:
        request.headers[SENT_HEADER] = f"{wall_s():.3f}"

    return stamp


def skews_file(folder: RunFolder) -> Path:
    """Return where the server of a run keeps what it knows of the windows' clocks."""
    return folder.path / "clocks.json"


def read_skews(folder: RunFolder) -> dict[str, float]:
    """Return by trace what to add to its window's clock, in seconds, to have the server's."""
    try:
        skews = json.loads(skews_file(folder).read_text("utf-8"))
        return {str(trace): float(skew) for trace, skew in skews.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def sure_skew_s(skew_s: float) -> float:
    """Return a difference of clocks as far as it is one, and not the network's delay."""
    return skew_s if abs(skew_s) >= SURE_S else 0.0


def largest_skew_s(skews: Mapping[str, float], traces: set[str]) -> float | None:
    """Return the largest difference of the clocks of some traces; None if none is known."""
    known = [skew for trace, skew in skews.items() if trace in traces]
    if not known:
        return None
    return round(max(known) if max(known) >= -min(known) else min(known), 3)


class ClockNotes:
    """The smallest difference seen for each trace, kept in the run folder.

    Args:
        folder: the run.
        wall_s: the server's wall clock.
    """

    def __init__(self, folder: RunFolder, wall_s: Callable[[], float]) -> None:
        self._folder = folder
        self._wall_s = wall_s
        self._skews = read_skews(folder)
        self._lock = threading.Lock()

    def now_s(self) -> float:
        """Return the server's wall clock."""
        return self._wall_s()

    def note(self, trace_id: str, skew: float) -> None:
        """Take the difference that a request of a trace's window shows."""
        with self._lock:
            known = self._skews.get(trace_id)
            if known is not None and known - skew < _CLOSER_S:
                return
            self._skews[trace_id] = skew
            text = json.dumps({trace: round(skew, 3) for trace, skew in self._skews.items()})
            write_whole(skews_file(self._folder), text + "\n")


class ClockListener:
    """Reads the senders' clocks off the requests that ingest accepted, as ASGI middleware.

    Args:
        app: what serves the requests.
        notes: where the differences go.
        prefix: the path of traces.
    """

    def __init__(self, app: ASGIApp, notes: ClockNotes, prefix: str) -> None:
        self._app = app
        self._notes = notes
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass; note its clock if it was a trace's and was accepted."""
        sent_s = _sent_wall_s(scope, self._prefix)
        if sent_s is None:
            await self._app(scope, receive, send)
            return
        skew = self._notes.now_s() - sent_s
        trace_id = scope["path"].split("/")[_PATH_PARTS]

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                self._note(trace_id, skew)
            await send(message)

        await self._app(scope, receive, watch)

    def _note(self, trace_id: str, skew: float) -> None:
        # Without it reports lack a number; a clip is not refused for it.
        with contextlib.suppress(OSError):
            self._notes.note(trace_id, skew)


def _sent_wall_s(scope: Scope, prefix: str) -> float | None:
    is_put = scope["type"] == "http" and scope["method"] == "PUT"
    if not is_put or not scope["path"].startswith(f"{prefix}/"):
        return None
    try:
        sent_s = float(Headers(scope=scope).get(SENT_HEADER, ""))
    except ValueError:
        return None
    return sent_s if math.isfinite(sent_s) else None
