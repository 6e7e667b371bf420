"""Runs an agent as a client of the server: it polls, asks the agent, and sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from interactive.agents.agent import Agent, History, Proposal
from interactive.agents.budget import Budget, Limits
from interactive.agents.journal import AgentJournal, Totals
from interactive.client import CommandAnswer, RunClient, ServerUnreachable, TimedOut, Unanswered
from interactive.record.ledger import Entry

MAX_BACK_OFF = 32
"""Periods: the longest pause after refusals in a row."""


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """How often an agent looks, how far back, and how long it waits.

    Args:
        period_s: the pause between two looks; it doubles with each refusal in a row.
        look_back: how many of the newest losses it sees, at most 4,000.
        max_actions: how many commands it may propose in all, if no budget is given.
        wait_s: how long it waits for what becomes of one.
        max_unreachable: so many looks in a row without an answer end it.
    """

    period_s: float = 2.0
    look_back: int = 4000
    max_actions: int = 20
    wait_s: float = 60.0
    max_unreachable: int = 150


@dataclass(frozen=True, slots=True)
class Action:
    """A proposal that was sent, and what became of it."""

    proposal: Proposal
    answer: CommandAnswer


class AgentRunner:
    """Lets one agent steer one run, within its budget.

    Args:
        client: carries the agent's token.
        agent: decides.
        config: how often.
        sleep: waits for so many seconds.
        new_id: makes command ids.
        journal: what was done before, and is done now; in memory if not given.
        budget: how much may be done.
    """

    def __init__(
        self,
        client: RunClient,
        agent: Agent,
        config: RunnerConfig,
        sleep: Callable[[float], None],
        new_id: Callable[[], UUID],
        journal: AgentJournal | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._client = client
        self._agent = agent
        self._config = config
        self._sleep = sleep
        self._new_id = new_id
        self._journal = journal or AgentJournal.in_memory()
        self._budget = budget or Budget(Limits(actions=config.max_actions), self._journal)
        self._entries: list[Entry] = []
        self._open = self._journal.open_proposal()
        self._refusals = 0
        self.ended = ""

    @property
    def tally(self) -> Totals:
        """Return what the agent has done so far, earlier sessions included."""
        return self._journal.totals

    def run(self, until: Callable[[], bool] = lambda: False) -> Iterator[Action]:
        """Look until the run has stopped or the budget is spent; yield what was done.

        While people have halted the agents, nothing is asked and nothing sent. ``ended``
        tells why it ended: ``told``, ``stopped``, or the limit that was reached.

        Args:
            until: asked before each look whether to end.

        Raises:
            ServerUnreachable: nobody answered ``max_unreachable`` times in a row.
            Unanswered: nor did the server, with anything but errors.
            NotAllowed: the token may not send commands.
        """
        unreachable = 0
        while True:
            spent = self._budget.spent() if self._open is None else None
            if until() or spent is not None:
                self.ended = spent or "told"
                return
            action = None
            try:
                status = self._client.status()
                if status["state"] == "stopped":
                    self.ended = "stopped"
                    return
                if not status.get("agents_halted"):
                    action = self.look()
                unreachable = 0
            except (ServerUnreachable, Unanswered):
                unreachable += 1
                if unreachable >= self._config.max_unreachable:
                    raise
            if action is not None:
                yield action
            self._sleep(self._config.period_s * min(2**self._refusals, MAX_BACK_OFF))

    def look(self) -> Action | None:
        """Look once; return what was sent and has an outcome, if anything.

        A command whose outcome is open is sent again with its id, which makes it happen
        once: the agent would decide on a run that does not show it yet.
        """
        if self._open is None:
            history = self._history()
            proposal = self._agent.observe(history)
            if proposal is None:
                return None
            command_id = proposal.command_id or self._new_id()
            proposal = replace(proposal, command_id=command_id)
            self._journal.propose(command_id, proposal, step=history.step, branch=history.branch)
            self._open = proposal
        proposal = self._open
        try:
            answer = self._client.send(
                proposal.command,
                reason=proposal.reason,
                command_id=proposal.command_id,
                if_generation=proposal.if_generation,
                wait_s=self._config.wait_s,
            )
        except TimedOut:
            return None
        self._journal.conclude(answer)
        self._open = None
        self._refusals = 0 if answer.code is None else self._refusals + 1
        return Action(proposal, answer)

    def _history(self) -> History:
        after = self._entries[-1].seq if self._entries else -1
        self._entries += [Entry.from_json(obj) for obj in self._client.ledger(after)]
        status = self._client.status()
        curve = self._client.metrics(
            "loss",
            branch=status["branch"],
            max_points=4000,
            last=self._config.look_back,
        )
        return History(
            branch=status["branch"],
            step=status["step"],
            lr=status["lr"],
            steps=curve.steps,
            losses=curve.values,
            entries=tuple(self._entries),
            settings=status.get("settings") or {},
        )
