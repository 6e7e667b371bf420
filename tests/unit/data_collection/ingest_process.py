"""An ingest server in a process of its own, and a client that may say anything to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Union

START_S = 60.0


class IngestProcess:
    """The server over a store's folder; ``stop`` returns what it took."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            (sys.executable, __file__, str(root)), stdout=subprocess.PIPE, text=True
        )
        self.port = int(self._line()["port"])
        self._connection = self._connect()

    @property
    def pid(self) -> int:
        return self._process.pid

    def request(
        self,
        method: str,
        path: str,
        body: Union[bytes, Iterable[bytes]] = b"",
        headers: Mapping[str, str] = {},
    ) -> tuple[int, dict[str, Any]]:
        """Send a request, chunked if the body comes in parts; return status and answer."""
        # Parts that were sent are gone and cannot be sent again.
        for _ in range(2 if isinstance(body, bytes) else 1):
            try:
                self._connection.request(method, path, body, dict(headers))
                response = self._connection.getresponse()
                text = response.read()
                break
            except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
                # It closes a connection that idled, and refuses a body before its end.
                self._connection.close()
                self._connection = self._connect()
        else:
            return 0, {}
        if response.getheader("connection") == "close":
            self._connection.close()
        answer = json.loads(text)
        assert isinstance(answer, dict)
        return response.status, answer

    def say(self, text: bytes, *, end: bool = True) -> int:
        """Send bytes as they are, and end; return the status of the answer, 0 if none came."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=START_S) as raw:
            raw.sendall(text)
            if end:
                raw.shutdown(socket.SHUT_WR)
            try:
                head = raw.recv(100)
            except ConnectionResetError:
                return 0
        return int(head.split()[1]) if head else 0

    def stop(self) -> dict[str, int]:
        """End the server; return the peak memory of it and of its largest worker, in bytes."""
        self._connection.close()
        self._process.send_signal(signal.SIGTERM)
        usage = self._line()
        assert self._process.wait(START_S) == 0
        return usage

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S)

    def _line(self) -> dict[str, int]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the server is gone: {self._process.poll()}"
        said: dict[str, int] = json.loads(line)
        return said


def serve(root: Path) -> None:
    """Serve until SIGTERM; say the port first and what was taken last."""
    import resource

    import uvicorn
    from fastapi import FastAPI

    from data_collection.clock import SystemClock
    from data_collection.storage.store import TraceStore
    from data_collection.streaming.decode_pool import DecodePool
    from data_collection.streaming.ingest import IngestService
    from data_collection.streaming.ingest_routes import create_router

    store, pool = TraceStore.open(root), DecodePool()
    pool.start()
    app = FastAPI()
    service = IngestService(store, SystemClock(), pool.examine)
    app.include_router(create_router(service, lambda role: lambda: None))
    # With the protocol named, asyncio sends each answer at once.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    # Its way out with a signal is to raise it again, which would end us before the last line.
    signal.signal(signal.SIGTERM, lambda *_: None)
    server.run(sockets=[listener])
    pool.close()
    store.close()
    status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    own = int(status.split()[0])
    # That of a child begins with its parent's at the time, so it is no less than the truth.
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"server": own * 1024, "worker": workers * 1024}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
