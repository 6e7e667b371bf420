"""A served run in a process of its own, so that its memory can be looked at: prints its port."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import uvicorn
from served_run import ServedRun

from interactive.server.connections import listening_on


def main(path: Path) -> None:
    run = ServedRun(path)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(listening_on(run.app, "127.0.0.1", 0)).run([listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
