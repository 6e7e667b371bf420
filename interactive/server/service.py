"""The server's side of a run: its inbox, and the files it tails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool

from interactive.outcome import CommandState, Rejected
from interactive.policy import Policy
from interactive.record.journal import JournalTail
from interactive.record.ledger import Entry
from interactive.record.run_folder import RunFolder
from interactive.server.heartbeat import Heartbeat, RunState
from interactive.server.inbox import Inbox, Receipt
from interactive.server.judging import CommandJudge
from interactive.server.pictures import Pictures
from interactive.server.state import LOST_AFTER_S, FoldedRun
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


class RunService:
    """What the routes ask: requests go to the inbox, answers come from the ledger.

    Args:
        name: the run's name, for people.
        inbox: the requests.
        ledger: tails the ledger.
        metrics: tails the metrics.
        pictures: the rollouts' pictures.
        clock: monotonic seconds.
        policy: what is accepted.
        facts: what is told from outside.
    """

    def __init__(
        self,
        name: str,
        inbox: Inbox,
        ledger: Tail,
        metrics: Tail,
        pictures: Pictures,
        clock: Callable[[], float],
        policy: Policy | None = None,
        facts: Facts | None = None,
    ) -> None:
        self.name = name
        self.inbox = inbox
        self.pictures = pictures
        self.changed = Signal()
        self.run = FoldedRun(clock())
        self.judge = CommandJudge(policy or Policy(), self.run, inbox, clock)
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock
        self._facts = facts or Facts()
        self._clips: dict[str, Any] = {}
        self._problem: str | None = None

    @classmethod
    def open(
        cls,
        folder: RunFolder,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        policy: Policy | None = None,
        facts: Facts | None = None,
    ) -> RunService:
        """Open the inbox and the files of a run folder."""
        return cls(
            name=folder.path.resolve().name,
            inbox=Inbox.open(folder.inbox, wall_clock),
            ledger=JournalTail(folder.ledger),
            metrics=JournalTail(folder.metrics),
            pictures=Pictures(folder.rollouts),
            clock=clock,
            policy=policy,
            facts=facts,
        )

    async def refresh(self) -> None:
        """Take in what the files have got since the last call."""
        objects = await run_in_threadpool(self._ledger.read_new)
        for obj in objects:
            self.run.add_entry(Entry.from_json(obj))
        records = await run_in_threadpool(self._metrics.read_new)
        for record in records:
            self.run.add_record(record)
        if objects or records:
            self.changed.fire()

    @contextlib.asynccontextmanager
    async def tailing(self) -> AsyncIterator[None]:
        """Follow the files while the context is open."""
        tasks = [
            asyncio.create_task(self._repeat(self.refresh, POLL_S)),
            asyncio.create_task(self._repeat(self._ask_clips, FACTS_S)),
            asyncio.create_task(self._repeat(self.release_due, POLL_S)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _repeat(self, action: Callable[[], Awaitable[None]], period_s: float) -> None:
        """Do it for ever; what goes wrong shows in the status, for the run must be seen."""
        while True:
            try:
                await action()
            except Exception as error:
                self._problem = f"{type(error).__name__}: {error}"
            await asyncio.sleep(period_s)

    async def _ask_clips(self) -> None:
        self._clips = dict(await run_in_threadpool(self._facts.clips))

    async def release_due(self) -> None:
        """Let those held commands through whose veto window is over."""
        if await run_in_threadpool(self.inbox.release_due):
            self.changed.fire()

    def is_final(self, command_id: str) -> bool:
        """Say whether nothing more will become of a command."""
        if self.inbox.is_ended(command_id):
            return True
        return self.run.final_outcome(command_id) is not None

    def hear(self, heartbeat: Heartbeat) -> None:
        """Take a heartbeat of the trainer."""
        before = self.run.heartbeat
        self.run.hear(heartbeat, self._clock())
        if before is None or before.state is not heartbeat.state:
            self.changed.fire()

    def may_train(self) -> bool:
        """Say whether a trainer may be running: it has not said goodbye, nor been silent."""
        heartbeat = self.run.heartbeat
        if heartbeat is not None and heartbeat.state is RunState.STOPPED:
            return False
        return self.run.age_s(self._clock()) <= LOST_AFTER_S

    def agents_halted(self) -> bool:
        """Say whether a person has told all agents to do nothing."""
        return self.inbox.halt() is not None

    def status(self) -> dict[str, Any]:
        """Return how the run stands, as JSON."""
        run, now_s = self.run, self._clock()
        heartbeat, state = run.heartbeat, run.state(now_s)
        return {
            "run": self.name,
            "state": state.value,
            "branch": run.branch,
            "branches": run.series.branches,
            "step": run.step,
            "mark": run.mark,
            "lr": run.lr,
            "pids": {
                "server": self._facts.server_pid,
                "trainer": heartbeat.pid if heartbeat and state not in ENDS else None,
                "window": self._facts.window_pid(),
            },
            "url": self._facts.url,
            "heartbeat_age_s": round(run.age_s(now_s), 1) if heartbeat else None,
            "settings": heartbeat.settings if heartbeat else {},
            "checkpoints": [asdict(one) for one in run.checkpoints.values()],
            "clips": self._clips,
            "problem": self._problem,
            "agents_halted": self.inbox.halt() is not None,
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
        if first.seq is not None:
            return _answer(command_id, first.seq, state=first.state)
        decision = held.decision if (held := self.inbox.held(command_id)) else None
        why = {} if decision is None else {"code": first.state.value, "hint": decision.reason}
        return _answer(command_id, None, state=first.state, **why)


def _answer(command_id: str, seq: int | None, **known: Any) -> dict[str, Any]:
    blank = dict.fromkeys(
        ("state", "step", "branch", "old", "requested", "effective", "code", "hint", "ledger_seq")
    )
    return {"command_id": command_id, "seq": seq, **blank, **known}
