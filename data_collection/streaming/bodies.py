"""Request bodies, read within a size, a time and a share of the memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from fastapi import Request
from starlette.requests import ClientDisconnect


class BodyRefused(Exception):
    """A body that is not taken.

    Args:
        status: the HTTP status to answer with.
        outcome: short stable name of the cause.
        hint: the particulars.
    """

    def __init__(self, status: int, outcome: str, hint: str) -> None:
        super().__init__(f"{outcome}: {hint}")
        self.status = status
        self.outcome = outcome
        self.hint = hint


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What bodies may take: together in memory, and each in time."""

    memory_bytes: int = 96 * 2**20
    read_s: float = 120.0
    wait_s: float = 15.0
    """How long a request waits for the memory before it is sent away, to come again."""


DEFAULT_LIMITS = BodyLimits()


class Bodies:
    """Reads bodies so that those in memory at one time stay under a bound.

    A body's share is taken whole before its first byte, as much as was announced or else
    as much as is allowed, so that two half-read bodies never wait for each other.
    """

    def __init__(self, limits: BodyLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._free_bytes = limits.memory_bytes
        self._changed = anyio.Condition()

    @asynccontextmanager
    async def read(self, request: Request, limit_bytes: int) -> AsyncIterator[bytes]:
        """Read a body and hold its share while the block runs.

        Raises:
            BodyRefused: it is longer than the limit, too slow, or there is no memory for
                it now.
        """
        size_bytes = _announced(request, limit_bytes)
        await self._take(size_bytes)
        try:
            try:
                with anyio.fail_after(self._limits.read_s):
                    body = await _read(request, size_bytes, limit_bytes)
            except TimeoutError:
                hint = f"not sent within {self._limits.read_s:g} s"
                raise BodyRefused(408, "too_slow", hint) from None
            yield body
        finally:
            await self._give_back(size_bytes)

    async def _take(self, size_bytes: int) -> None:
        try:
            with anyio.fail_after(self._limits.wait_s):
                async with self._changed:
                    while self._free_bytes < size_bytes:
                        await self._changed.wait()
                    self._free_bytes -= size_bytes
        except TimeoutError:
            raise BodyRefused(503, "busy", "too many bodies are being read") from None

    async def _give_back(self, size_bytes: int) -> None:
        with anyio.CancelScope(shield=True):
            async with self._changed:
                self._free_bytes += size_bytes
                self._changed.notify_all()


def _announced(request: Request, limit_bytes: int) -> int:
    announced = request.headers.get("content-length")
    if announced is None:
        return limit_bytes
    if not announced.isdecimal() or len(announced) > 12 or int(announced) > limit_bytes:
        raise _too_large(limit_bytes)
    return int(announced)


async def _read(request: Request, size_bytes: int, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    left_bytes = size_bytes
    try:
        async for part in request.stream():
            left_bytes -= len(part)
            if left_bytes < 0:
                raise _too_large(limit_bytes)
            parts.append(part)
    except ClientDisconnect:
        raise BodyRefused(400, "cut_short", "the sender left before the end") from None
    return b"".join(parts)


def _too_large(limit_bytes: int) -> BodyRefused:
    return BodyRefused(413, "too_large", f"at most {limit_bytes} bytes")
