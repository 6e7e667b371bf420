"""Floods at a real server: large bodies, many sockets, clients that drip or do not read."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from served_run import ServedRun

from interactive.client import RunClient
from interactive.commands import Note
from interactive.policy import Role
from interactive.record.journal import JournalWriter
from interactive.record.run_folder import RunFolder
from interactive.server.connections import MAX_CONNECTIONS, BoundedProtocol, listening_on

HERE = Path(__file__).parent
MIB = 2**20
TOLERANCE_BYTES = 24 * MIB
"""What a server's memory may differ by, for whatever reason."""


@dataclass
class Process:
    """A server in a process of its own."""

    pid: int
    port: int
    folder: RunFolder

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory_bytes(self) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))

    def token(self, role: Role) -> str:
        return self.folder.read_token(role.value) or ""

    def client(self, role: Role = Role.OPERATOR) -> RunClient:
        return RunClient.connect(self.url, self.token(role))

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@contextmanager
def serving(path: Path) -> Iterator[Process]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    words = [sys.executable, str(HERE / "served_process.py"), str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=env, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield Process(process.pid, port, RunFolder.open(path))
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    if not Path("/proc/self/status").exists():
        pytest.skip("the memory of a process is read from /proc")
    with serving(tmp_path_factory.mktemp("served") / "run") as process:
        with process.client() as client:
            assert client.status()["state"] == "waiting"
        yield process


def head(server: Process, role: Role, *lines: str) -> bytes:
    text = [*lines, "Host: 127.0.0.1", f"Authorization: Bearer {server.token(role)}", "", ""]
    return "\r\n".join(text).encode()


def flood(server: Process, size_bytes: int) -> bytes:
    """Send a body of so many bytes in chunks, and return the beginning of the answer."""
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with server.socket() as sock:
        sock.sendall(head(server, Role.OPERATOR, "POST /api/commands HTTP/1.1",
                          "Transfer-Encoding: chunked"))  # fmt: skip
        try:
            for _ in range(size_bytes // 65536):
                sock.sendall(piece)
            sock.sendall(b"0\r\n\r\n")
        except OSError:
            pass  # the server may hang up
        return sock.recv(200)


@pytest.mark.parametrize(
    "size_bytes", [32 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.nightly)]
)
def test_a_large_body_is_refused_and_takes_no_memory(server: Process, size_bytes: int) -> None:
    before = server.memory_bytes()
    assert b" 413 " in flood(server, size_bytes)
    with server.socket() as sock:
        sock.sendall(head(server, Role.OPERATOR, "POST /api/commands HTTP/1.1",
                          "Content-Length: 1073741824"))  # fmt: skip
        assert b" 413 " in sock.recv(200)
    assert server.memory_bytes() - before < TOLERANCE_BYTES
    with server.client() as client:
        assert client.status()["state"] == "waiting"


def test_a_thousand_sockets_shut_nobody_out(server: Process) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1400:
        pytest.skip("this machine allows a process too few sockets")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1400), hard))
    trainer = {"Authorization": f"Bearer {server.token(Role.TRAINER)}"}
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        old = stack.enter_context(httpx.Client(base_url=server.url, headers=trainer, timeout=30))
        waiting: list[int] = []
        poll = threading.Thread(
            target=lambda: waiting.append(
                old.get("/api/commands", params={"wait_s": 60}).json()["head"]
            )
        )
        poll.start()
        time.sleep(0.2)
        for _ in range(1000):
            stack.enter_context(server.socket())
        with server.client() as client:
            sent = client.send(Note(text="still here"))
            assert sent.seq == 1
            assert client.status()["step"] == 0
        poll.join(60)
        assert waiting == [1]  # the trainer's wait was not cut, and its command came
        beat = old.post("/api/heartbeat", json={"state": "training", "step": 3})
        assert beat.status_code == 204
        descriptors = len(os.listdir(f"/proc/{server.pid}/fd"))
        assert descriptors < MAX_CONNECTIONS + 64


def test_who_does_not_read_the_events_costs_no_memory(server: Process) -> None:
    with JournalWriter.open(server.folder.ledger) as journal:
        for seq in range(4000):
            entry = {"seq": seq, "step": 1, "branch": "main", "kind": "evaluation", "wall_s": 0.0}
            journal.append({**entry, "measures": {}, "evaluation": "x" * 2000}, durable=False)
    with server.client() as client:
        while client.status()["ledger_head"] < 4000:
            time.sleep(0.02)
        before = server.memory_bytes()
        with ExitStack() as stack:
            for _ in range(40):  # 8 MB for each of them, if it were queued
                sock = stack.enter_context(socket.socket())
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.connect(("127.0.0.1", server.port))
                sock.sendall(head(server, Role.VIEWER, "GET /api/events?after=0.0 HTTP/1.1"))
                assert b" 200 " in sock.recv(200)
            for _ in range(20):
                assert client.status()["ledger_head"] == 4000
                time.sleep(0.02)
            assert server.memory_bytes() - before < 2 * TOLERANCE_BYTES
        events = client.events("0.0")  # one that reads gets all of it
        got = [event.data["seq"] for event, _ in zip(events, range(4000), strict=False)
               if event.kind == "ledger"]  # fmt: skip
        assert got == list(range(len(got)))
        assert len(got) > 3900


class Hasty(BoundedProtocol):
    """Waits a moment only for a head, and takes few connections."""

    head_s = 0.2
    max_connections = 8


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[int]:
    run = ServedRun(tmp_path / "run")
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(listening_on(run.app, "127.0.0.1", 0, Hasty))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()
    listener.close()


def is_cut(sock: socket.socket) -> bool:
    sock.settimeout(30)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_who_drips_a_head_is_cut(hasty: int) -> None:
    def drip(sock: socket.socket) -> bool:
        try:
            for letter in b"GET /api/status HTTP/1.1\r\nX-Slow: " + b"x" * 200:
                sock.sendall(bytes([letter]))
                time.sleep(0.02)
        except OSError:
            return True
        return is_cut(sock)

    with socket.create_connection(("127.0.0.1", hasty)) as silent:
        assert is_cut(silent)
    with socket.create_connection(("127.0.0.1", hasty)) as dripping:
        assert drip(dripping)
    with socket.create_connection(("127.0.0.1", hasty)) as second:
        second.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while b"</html>" not in second.recv(65536):
            pass
        assert drip(second)  # a kept connection's next head has the same deadline


def test_the_oldest_idle_connection_makes_room(hasty: int) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(socket.create_connection(("127.0.0.1", hasty)))
        for _ in range(8):
            stack.enter_context(socket.create_connection(("127.0.0.1", hasty)))
        assert is_cut(first)
