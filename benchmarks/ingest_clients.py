"""Clients of the ingest benchmark: recorded clips, sent at the rate at which they were recorded.

All clients live in one asyncio process and say as little as HTTP allows, so that most of
the machine is left to the server under test.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import zstandard
from rich.console import Console
from rich.progress import Progress

from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.recording.collect import collect, synthetic_header
from data_collection.storage.codec import encode_clip
from data_collection.trace import FPS, TraceHeader
from data_collection.users import make_user

CLIP_S = FPS * round(1e9 / FPS) / 1e9
"""From one clip's last frame to the next one's, as ``collect`` sets them."""
DRAIN_S = 20.0
"""How long what waits is still sent after the last clip was recorded."""
_RETRY_S = 0.2
_POLL_S = 5
_HEAD = struct.Struct("<4sHHIIIII")


@dataclass(frozen=True)
class Recording:
    """A scripted user's trace: its header, and a body a second."""

    header: TraceHeader
    bodies: tuple[bytes, ...]


def record(count: int, clips: int, source: str) -> list[Recording]:
    """Record scripted users at the scripted desktop, each with a seed of its own."""
    desktop, recordings = ScriptedDesktop(), []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("recording", total=count * clips)
        for seed in range(count):
            user = make_user("task")
            header = synthetic_header("x", desktop, seed=seed, source=source, policy="task")
            bodies = []
            for clip in collect(desktop, user, header, clips):
                bodies.append(encode_clip(clip))
                progress.advance(task)
            recordings.append(Recording(header, tuple(bodies)))
    return recordings


def renamed(body: bytes, trace_id: str) -> bytes:
    """Return a clip's body as one of another trace; its pixels stay compressed."""
    fields = list(_HEAD.unpack_from(body))
    end = _HEAD.size + fields[6]
    meta = json.loads(zstandard.decompress(body[_HEAD.size : end]))
    text = zstandard.compress(json.dumps({**meta, "trace_id": trace_id}).encode())
    fields[6] = len(text)
    content = _HEAD.pack(*fields) + text + body[end:-4]
    return content + struct.pack("<I", zlib.crc32(content))


@dataclass(frozen=True)
class Endpoint:
    """Where the server listens, and the tokens of collector and trainer."""

    host: str
    port: int
    collector: str
    trainer: str

    def request(
        self, method: str, path: str, token: str, body: bytes = b"", more: str = ""
    ) -> bytes:
        """Return the bytes of a request."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        )
        return head.encode() + body


class Line:
    """One kept connection; a request at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, dict[str, Any]]:
        """Send a request; return the status and the answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                self._endpoint.host, self._endpoint.port, limit=2**22
            )
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.lower().split("\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith("content-length:"))
        return int(lines[0].split()[1]), json.loads(await reader.readexactly(length))

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()


@dataclass
class Sent:
    """What became of the clips: times in wall-clock seconds."""

    planned: int = 0
    sent: int = 0
    retried: int = 0
    ack_s: list[float] = field(default_factory=list)
    captured_s: dict[tuple[str, int], float] = field(default_factory=dict)
    """When the last frame of each acknowledged clip was recorded."""
    seen_s: dict[tuple[str, int], float] = field(default_factory=dict)
    """When its row stood in an answer to ``/commits``."""
    refused: list[str] = field(default_factory=list)

    @property
    def visible_lag_s(self) -> list[float]:
        """From the last frame to the row in ``/commits``, of each acknowledged clip."""
        return [
            self.seen_s[clip] - at for clip, at in self.captured_s.items() if clip in self.seen_s
        ]


async def stream(
    endpoint: Endpoint, recordings: Sequence[Recording], prefix: str, clients: int, clips: int
) -> Sent:
    """Let clients send ``clips`` clips each, one a second, and follow their rows.

    Args:
        endpoint: the server.
        recordings: client n sends number n modulo how many there are.
        prefix: what the trace ids begin with.
        clients: how many there are; they begin evenly spread over a second.
        clips: how many each sends.
    """
    sent = Sent(planned=clients * clips)
    plans = [
        _plan(endpoint, recordings[number % len(recordings)], f"{prefix}-{number:04d}", clips)
        for number in range(clients)
    ]
    start_s = time.time() + 1.0
    follower = asyncio.create_task(_follow(endpoint, prefix, sent))
    runs = [
        _client(endpoint, header, puts, start_s + number / clients, sent)
        for number, (header, puts) in enumerate(plans)
    ]
    await asyncio.gather(*runs)
    for _ in range(100):
        if len(sent.seen_s) >= len(sent.captured_s):
            break
        await asyncio.sleep(0.1)
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
    return sent


def _plan(
    endpoint: Endpoint, recording: Recording, trace_id: str, clips: int
) -> tuple[TraceHeader, list[bytes]]:
    puts = []
    for seq, body in enumerate(recording.bodies[:clips]):
        named = renamed(body, trace_id)
        sha = f"X-Body-SHA256: {hashlib.sha256(named).hexdigest()}\r\n"
        path = f"/traces/{trace_id}/clips/{seq}"
        puts.append(endpoint.request("PUT", path, endpoint.collector, named, sha))
    return replace(recording.header, trace_id=trace_id), puts


async def _client(
    endpoint: Endpoint, header: TraceHeader, puts: Sequence[bytes], start_s: float, sent: Sent
) -> None:
    line = Line(endpoint)
    text = json.dumps(replace(header, anchor_wall_s=start_s).to_json()).encode()
    opened, _ = await line.ask(
        endpoint.request("PUT", f"/traces/{header.trace_id}", endpoint.collector, text)
    )
    assert opened == 201, opened
    deadline_s = start_s + len(puts) * CLIP_S + DRAIN_S
    for seq, put in enumerate(puts):
        captured_s = start_s + (seq + 1) * CLIP_S
        await asyncio.sleep(captured_s - time.time())
        if time.time() > deadline_s:
            break
        sent.sent += 1
        begun_s = time.time()
        status, answer = await line.ask(put)
        while status == 503:
            sent.retried += 1
            await asyncio.sleep(_RETRY_S)
            status, answer = await line.ask(put)
        if status == 200:
            sent.ack_s.append(time.time() - begun_s)
            sent.captured_s[header.trace_id, seq] = captured_s
        else:
            sent.refused.append(f"{status} {answer.get('outcome')} {answer.get('code', '')}")
    line.close()


async def _follow(endpoint: Endpoint, prefix: str, sent: Sent) -> None:
    """Ask for rows as a trainer's link does, and note when each is seen."""
    line, after = Line(endpoint), 0
    while True:
        path = f"/commits?after={after}&limit=500&wait_s={_POLL_S}"
        _, answer = await line.ask(endpoint.request("GET", path, endpoint.trainer))
        now_s = time.time()
        for row in answer["rows"]:
            after = row["commit"]
            if row["trace_id"].startswith(prefix):
                sent.seen_s[row["trace_id"], row["seq"]] = now_s
