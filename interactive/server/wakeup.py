"""Waiting for a change without holding a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Signal:
    """Wakes all who wait, on the event loop that fires it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def fire(self) -> None:
        """Wake everyone who waits now."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def until(self, ready: Callable[[], T | None], wait_s: float) -> T | None:
        """Return what ``ready`` gives, as soon as it is not None, or its answer at the end."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + wait_s
        while True:
            event = self._event
            value = ready()
            remaining_s = deadline_s - loop.time()
            if value is not None or remaining_s <= 0:
                return value
            try:
                await asyncio.wait_for(event.wait(), remaining_s)
            except TimeoutError:
                return ready()
