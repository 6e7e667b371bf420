"""The server's side of a run: its inbox, and the files it tails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool

from interactive.inbox import Inbox, Receipt
from interactive.ledger import Entry
from interactive.outcome import CommandState, Rejected
from interactive.policy import Policy
from interactive.server.heartbeat import Heartbeat, RunState
from interactive.server.pictures import Pictures
from interactive.server.state import FoldedRun
from interactive.server.wakeup import Signal

POLL_S = 0.1
FACTS_S = 1.0
ENDS = frozenset({RunState.STOPPED, RunState.LOST})


class Tail(Protocol):
    """Reads a growing file of JSON lines from where it stopped."""

    def read_new(self) -> list[dict[str, Any]]:
        """Return the whole lines written since the last call."""
        ...


@dataclass(frozen=True)
class Facts:
    """What the server is told about the rest of the system.

    Args:
        url: the address of this server, without secrets.
        server_pid: its process.
        window_pid: the person's window, where one runs.
        clips: counters of the live clips; called about once a second, on a thread.
    """

    url: str = ""
    server_pid: int = 0
    window_pid: Callable[[], int | None] = lambda: None
    clips: Callable[[], Mapping[str, Any]] = dict


@dataclass(frozen=True)
class RunService:
    """What the routes ask: requests go to the inbox, answers come from the ledger.

    Args:
        name: the run's name, for people.
        inbox: the requests.
        ledger: tails the ledger.
        metrics: tails the metrics.
        pictures: the rollouts' pictures.
        policy: what is accepted.
        facts: what is told from outside.
        clock: monotonic seconds.
    """

    name: str
    inbox: Inbox
    ledger: Tail
    metrics: Tail
    pictures: Pictures
    policy: Policy
    facts: Facts
    clock: Callable[[], float]
    changed: Signal = field(default_factory=Signal)
    run: FoldedRun = field(init=False)
    _clips: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Start with nothing known."""
        object.__setattr__(self, "run", FoldedRun(self.clock()))

    async def refresh(self) -> None:
        """Take in what the files have got since the last call."""
        objects = await run_in_threadpool(self.ledger.read_new)
        records = await run_in_threadpool(self.metrics.read_new)
        for obj in objects:
            self.run.add_entry(Entry.from_json(obj))
        for record in records:
            self.run.add_record(record)
        if objects or records:
            self.changed.fire()

    @contextlib.asynccontextmanager
    async def tailing(self) -> AsyncIterator[None]:
        """Follow the files while the context is open."""
        await self.refresh()
        tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._ask_facts())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await self.refresh()

    async def _ask_facts(self) -> None:
        while True:
            self._clips.update(await run_in_threadpool(self.facts.clips))
            await asyncio.sleep(FACTS_S)

    def hear(self, heartbeat: Heartbeat) -> None:
        """Take a heartbeat of the trainer."""
        before = self.run.heartbeat
        self.run.hear(heartbeat, self.clock())
        if before is None or before.state is not heartbeat.state:
            self.changed.fire()

    def status(self) -> dict[str, Any]:
        """Return how the run stands, as JSON."""
        run, now_s = self.run, self.clock()
        heartbeat, state = run.heartbeat, run.state(now_s)
        return {
            "run": self.name,
            "state": state.value,
            "branch": run.branch,
            "branches": run.series.branches,
            "step": run.step,
            "mark": max(run.mark, heartbeat.mark) if heartbeat else run.mark,
            "lr": heartbeat.lr if heartbeat else None,
            "pids": {
                "server": self.facts.server_pid,
                "trainer": heartbeat.pid if heartbeat and state not in ENDS else None,
                "window": self.facts.window_pid(),
            },
            "url": self.facts.url,
            "heartbeat_age_s": round(run.age_s(now_s), 1) if heartbeat else None,
            "settings": heartbeat.settings if heartbeat else {},
            "checkpoints": [asdict(one) for one in run.checkpoints.values()],
            "clips": dict(self._clips),
            "ledger_head": len(run.entries),
            "cursor": f"{len(run.entries)}.{run.record_count}",
        }

    def answer(self, command_id: str) -> dict[str, Any] | None:
        """Return all that is known of a command, as JSON, or None for an unknown id."""
        outcome = self.run.outcomes.get(command_id)
        first = self.inbox.find(command_id)
        if outcome is not None:
            seq = first.seq if isinstance(first, Receipt) else None
            return _answer(command_id, seq, **asdict(outcome))
        if first is None:
            return None
        if isinstance(first, Rejected):
            refusal = {"state": CommandState.REJECTED, "code": first.code.value, "hint": first.hint}
            return _answer(command_id, None, **refusal)
        return _answer(command_id, first.seq, state=first.state)


def _answer(command_id: str, seq: int | None, **known: Any) -> dict[str, Any]:
    blank = dict.fromkeys(
        ("state", "step", "branch", "old", "requested", "effective", "code", "hint", "ledger_seq")
    )
    return {"command_id": command_id, "seq": seq, **blank, **known}
