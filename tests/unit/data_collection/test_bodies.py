"""Request bodies within a size, a time and a share of the memory."""

from __future__ import annotations

import anyio
import pytest
from fastapi import Request

from data_collection.streaming.bodies import Bodies, BodyLimits, BodyRefused

LIMIT_BYTES = 1000
END = b""


class Sender:
    """A client that sends its parts once it may."""

    def __init__(self, *parts: bytes, announced: str | None = None) -> None:
        self.may = anyio.Event()
        self._parts = list(parts)
        headers = [] if announced is None else [(b"content-length", announced.encode())]
        self.request = Request({"type": "http", "method": "PUT", "headers": headers}, self._receive)

    async def _receive(self) -> dict[str, object]:
        await self.may.wait()
        if not self._parts:
            return {"type": "http.disconnect"}
        part = self._parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": part != END}


async def refused(bodies: Bodies, sender: Sender) -> tuple[int, str]:
    sender.may.set()
    with pytest.raises(BodyRefused) as caught:
        async with bodies.read(sender.request, LIMIT_BYTES):
            pass
    return caught.value.status, caught.value.outcome


def test_a_body_longer_than_allowed_or_announced_is_refused() -> None:
    async def main() -> None:
        bodies = Bodies(BodyLimits(memory_bytes=LIMIT_BYTES))
        too_large = (413, "too_large")
        for announced in ("1001", "9" * 13, "-1", "1e3", "x"):
            assert await refused(bodies, Sender(b"a", announced=announced)) == too_large
        assert await refused(bodies, Sender(b"a" * 900, b"a" * 101)) == too_large
        assert await refused(bodies, Sender(b"abc", announced="2")) == too_large
        assert await refused(bodies, Sender(b"abc", announced="9")) == (400, "cut_short")
        sender = Sender(b"a" * 400, b"b" * 600, END)
        sender.may.set()
        async with bodies.read(sender.request, LIMIT_BYTES) as body:
            assert body == b"a" * 400 + b"b" * 600

    anyio.run(main)


def test_bodies_wait_for_memory_and_are_sent_away_where_none_comes_free() -> None:
    async def main() -> None:
        bodies = Bodies(BodyLimits(memory_bytes=1000, wait_s=0.05))
        # Without a length, the second one needs all that it may send.
        first, second = Sender(b"a" * 700, END, announced="700"), Sender(b"b" * 301, END)
        first.may.set()
        async with bodies.read(first.request, LIMIT_BYTES):
            assert await refused(bodies, second) == (503, "busy")
        async with bodies.read(second.request, LIMIT_BYTES) as body:
            assert len(body) == 301

    anyio.run(main)


def test_a_body_that_never_comes_gives_its_share_back() -> None:
    async def main() -> None:
        bodies = Bodies(BodyLimits(memory_bytes=1000, read_s=0.01))
        with pytest.raises(BodyRefused) as caught:
            async with bodies.read(Sender(b"").request, LIMIT_BYTES):
                pass
        assert (caught.value.status, caught.value.outcome) == (408, "too_slow")
        patient = Bodies(BodyLimits(memory_bytes=1000))
        sender = Sender(b"a" * 1000, END)
        sender.may.set()
        async with patient.read(sender.request, LIMIT_BYTES) as body:
            assert len(body) == 1000

    anyio.run(main)
