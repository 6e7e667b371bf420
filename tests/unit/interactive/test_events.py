"""The event stream, taken from its generator: an endless answer needs no network here."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from served_run import ServedRun

from interactive.record.journal import JournalWriter
from interactive.server.events import Cursor, stream


@pytest.fixture
def run(tmp_path: Path) -> ServedRun:
    return ServedRun(tmp_path / "run")


async def take(events: AsyncIterator[str], count: int) -> list[tuple[str, str, Any]]:
    taken = []
    async for event in events:
        lines = dict(line.split(": ", 1) for line in event.strip().splitlines())
        taken.append((lines["id"], lines["event"], json.loads(lines["data"])))
        if len(taken) == count:
            break
    return taken


def events_of(run: ServedRun, cursor: str | None, count: int) -> list[tuple[str, str, Any]]:
    async def main() -> list[tuple[str, str, Any]]:
        await run.service.refresh()
        start = Cursor.parse(cursor) if cursor is not None else None
        return await take(stream(run.service, start, run.clock), count)

    return asyncio.run(asyncio.wait_for(main(), 20))  # a stream never ends by itself


def test_a_stream_goes_on_after_the_last_event_seen(run: ServedRun) -> None:
    for mark in range(3):
        run.write_entry("mark", mark=mark)
    run.write_metrics({"step": 1, "loss": 1.0}, {"step": 2, "loss": "NaN"})
    got = events_of(run, "1.0", 4)
    assert [(one[0], one[1]) for one in got] == [
        ("2.0", "ledger"),
        ("3.0", "ledger"),
        ("3.2", "metrics"),
        ("3.2", "status"),
    ]
    assert [got[0][2]["seq"], got[1][2]["seq"]] == [1, 2]
    assert [one["loss"] for one in got[2][2]["records"]] == [1.0, "NaN"]
    resumed = events_of(run, got[0][0], 3)
    assert [one[1] for one in resumed] == ["ledger", "metrics", "status"]
    assert resumed[0][2]["seq"] == 2


def test_a_new_stream_starts_now(run: ServedRun) -> None:
    run.write_entry("mark", mark=1)
    assert [one[1] for one in events_of(run, None, 1)] == ["status"]


@pytest.mark.parametrize("cursor", ["9.0", "0.9", "0.0"])
def test_who_missed_too_much_is_told_to_reload(run: ServedRun, cursor: str) -> None:
    run.write_metrics(*({"step": s, "loss": 1.0} for s in range(1, 4003)))
    if cursor == "0.9":
        run = ServedRun(run.folder.path.parent / "other")
    got = events_of(run, cursor, 2)
    assert [one[1] for one in got] == ["reload", "status"]


@pytest.mark.parametrize("text", ["", "x", "1", "1.x", "-1.0", "1.2.3", "9" * 50 + ".0"])
def test_a_strange_event_id_is_none(text: str) -> None:
    assert Cursor.parse(text) is None


def test_twelve_thousand_events_are_read_from_the_first_on_without_a_gap(run: ServedRun) -> None:
    count = 12_000
    with JournalWriter.open(run.folder.ledger) as journal:
        for seq in range(count):
            head = {"seq": seq, "step": 1, "branch": "main", "kind": "mark", "wall_s": 0.0}
            journal.append({**head, "mark": seq}, durable=False)

    async def read(cursor: str, until: int) -> tuple[str, list[int]]:
        """Return where it stopped, and the numbers of the entries that came, in order."""
        seen: list[int] = []
        async for event in stream(run.service, Cursor.parse(cursor), run.clock):
            lines = dict(line.split(": ", 1) for line in event.strip().splitlines())
            assert lines["event"] in ("ledger", "status")
            if lines["event"] == "ledger":
                seen.append(json.loads(lines["data"])["seq"])
                if seen[-1] == until:
                    break
        return lines["id"], seen

    async def main() -> list[int]:
        await run.service.refresh()
        cursor, first = await read("0.0", 6_499)  # the connection is lost in between
        _, rest = await read(cursor, count - 1)
        return first + rest

    assert asyncio.run(asyncio.wait_for(main(), 60)) == list(range(count))
