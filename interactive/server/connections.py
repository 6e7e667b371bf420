"""The server's connections: so many at most, and none that says nothing for long."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 512
HEAD_S = 10.0
"""How long the head of a request may take, from the connection's start or its first byte."""


def listening_on(
    app: FastAPI, host: str, port: int, protocol: type[BoundedProtocol] | None = None
) -> uvicorn.Config:
    """Return how an app is served: quietly, and with bounded connections."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,  # addresses may hold what nobody should read
        http=protocol or BoundedProtocol,
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 for strangers: sockets that hold still, or drip, do not shut others out.

    Where there are too many connections, the oldest one without a request under way is cut.
    Whoever sends a request at once, as the trainer and every client here does, gets in.
    """

    max_connections = MAX_CONNECTIONS
    head_s = HEAD_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._began_s = 0.0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and wait for its first request."""
        super().connection_made(transport)
        self._began_s = self.loop.time()
        if len(self.connections) > self.max_connections:
            self._make_room()
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the head of a request has a deadline, its body one of its own."""
        super().data_received(data)
        if self.is_serving:
            self._end_wait()
        elif self._deadline is None:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end_wait()
        super().connection_lost(exc)

    @property
    def is_serving(self) -> bool:
        """Return whether a request is under way."""
        return self.cycle is not None and not self.cycle.response_complete

    def cut(self) -> None:
        """End the connection at once, whatever is still unsent."""
        self._end_wait()
        self.connections.discard(self)
        self.transport.abort()

    def _make_room(self) -> None:
        others = [cast(BoundedProtocol, one) for one in self.connections if one is not self]
        idle = [one for one in others if not one.is_serving]
        min(idle, key=lambda one: one._began_s, default=self).cut()

    def _wait_for_head(self) -> None:
        self._deadline = self.loop.call_later(self.head_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._deadline = None
        if not self.is_serving:
            self.cut()

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
