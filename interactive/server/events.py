"""The stream of what happens to a run, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from interactive.server.service import RunService
from interactive.server.wire import to_text

METRICS_S = 0.25
STATUS_S = 1.0
MAX_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a client has got: ledger entries and metrics lines seen."""

    entries: int
    records: int

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """Read the id of an event, or return None where it is none."""
        entries, _, records = text.partition(".")
        if not (entries.isdecimal() and records.isdecimal() and len(text) < 40):
            return None
        return cls(int(entries), int(records))

    def __str__(self) -> str:
        """Return the id of an event."""
        return f"{self.entries}.{self.records}"


async def stream(
    service: RunService, start: Cursor | None, clock: Callable[[], float]
) -> AsyncIterator[str]:
    """Yield events after a cursor: ``ledger``, ``metrics``, ``status`` and ``reload``.

    Each client pulls at its own pace from what the server holds anyway: a slow one has no
    queue that could grow. One that missed more than the server holds is told to ``reload``.

    Args:
        service: the run.
        start: what the client has seen; None means everything up to now.
        clock: monotonic seconds.
    """
    run = service.run
    now = Cursor(len(run.entries), run.record_count)
    seen = start or now
    if seen.entries > now.entries or run.records_after(seen.records) is None:
        seen = now
        yield _event(seen, "reload", {})
    status_s = float("-inf")
    while True:
        for entry in run.entries[seen.entries : seen.entries + MAX_ENTRIES]:
            seen = Cursor(seen.entries + 1, seen.records)
            yield _event(seen, "ledger", entry.to_json())
        records = run.records_after(seen.records)
        if records is None:
            seen = Cursor(seen.entries, run.record_count)
            yield _event(seen, "reload", {})
        elif records:
            seen = Cursor(seen.entries, seen.records + len(records))
            yield _event(seen, "metrics", {"records": records})
        if clock() - status_s >= STATUS_S:
            status_s = clock()
            yield _event(seen, "status", service.status())
        has_more = seen.entries < len(run.entries)
        await asyncio.sleep(0 if has_more else METRICS_S)


def _event(seen: Cursor, kind: str, data: object) -> str:
    return f"id: {seen}\nevent: {kind}\ndata: {to_text(data)}\n\n"
