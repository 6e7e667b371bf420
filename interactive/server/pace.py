"""How fast requests may come: a bucket of tokens for each client."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

MAX_CLIENTS = 4096


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second for long, and ``burst`` at once."""

    per_s: float
    burst: float


KNOWN = Rate(per_s=500.0, burst=2000.0)
"""Of the bearer of a token, over all its connections."""

STRANGER = Rate(per_s=30.0, burst=300.0)
"""Of an address that shows no valid token."""


class Pace:
    """Says whether a client may go on; clients not heard of for long are forgotten.

    Args:
        rate: what each client may do.
        clock: monotonic seconds.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def allows(self, client: str) -> bool:
        """Count a request of a client, and return whether it is within the rate."""
        rate, now_s = self._rate, self._clock()
        with self._lock:
            left, seen_s = self._buckets.pop(client, (rate.burst, now_s))
            left = min(rate.burst, left + (now_s - seen_s) * rate.per_s)
            self._buckets[client] = (max(0.0, left - 1), now_s)
            if len(self._buckets) > MAX_CLIENTS:
                self._buckets.popitem(last=False)
            return left >= 1
