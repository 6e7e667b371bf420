"""Runs an agent as a client of the server: it polls, asks the agent, and sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from interactive.agents.agent import Agent, History, Proposal
from interactive.client import CommandAnswer, RunClient, ServerUnreachable, TimedOut
from interactive.outcome import CommandState
from interactive.record.ledger import Entry


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """How often an agent looks, how far back, and how much it may do.

    Args:
        period_s: the pause between two looks.
        look_back: how many of the newest losses it sees, at most 4,000.
        max_actions: how many commands it may send in all.
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


@dataclass(slots=True)
class Tally:
    """What an agent has done so far."""

    proposals: int = 0
    applied: int = 0
    refused: int = 0

    def count(self, answer: CommandAnswer) -> None:
        """Count what became of a proposal."""
        if answer.state is CommandState.APPLIED:
            self.applied += 1
        elif answer.is_final:
            self.refused += 1


class AgentRunner:
    """Lets one agent steer one run, within its budget.

    Args:
        client: carries the agent's token.
        agent: decides.
        config: how often and how much.
        sleep: waits for so many seconds.
        new_id: makes command ids.
    """

    def __init__(
        self,
        client: RunClient,
        agent: Agent,
        config: RunnerConfig,
        sleep: Callable[[float], None],
        new_id: Callable[[], UUID],
    ) -> None:
        self._client = client
        self._agent = agent
        self._config = config
        self._sleep = sleep
        self._new_id = new_id
        self._entries: list[Entry] = []
        self._open: tuple[UUID, Proposal] | None = None
        self.tally = Tally()

    def run(self, until: Callable[[], bool] = lambda: False) -> Iterator[Action]:
        """Look until the run has stopped or the budget is spent; yield what was done.

        Args:
            until: asked before each look whether to end.

        Raises:
            ServerUnreachable: nobody answered ``max_unreachable`` times in a row.
            NotAllowed: the token may not send commands.
        """
        unreachable = 0
        while self._open is not None or self.tally.proposals < self._config.max_actions:
            if until():
                return
            try:
                if self._client.status()["state"] == "stopped":
                    return
                action = self.look()
                unreachable = 0
            except ServerUnreachable:
                action = None
                unreachable += 1
                if unreachable >= self._config.max_unreachable:
                    raise
            if action is not None:
                yield action
            self._sleep(self._config.period_s)

    def look(self) -> Action | None:
        """Look once; return what was sent and has an outcome, if anything.

        A command whose outcome is open is sent again with its id, which makes it happen
        once: the agent would decide on a run that does not show it yet.
        """
        if self._open is None:
            proposal = self._agent.observe(self._history())
            if proposal is None:
                return None
            self.tally.proposals += 1
            self._open = (self._new_id(), proposal)
        command_id, proposal = self._open
        try:
            answer = self._client.send(
                proposal.command,
                reason=proposal.reason,
                command_id=command_id,
                wait_s=self._config.wait_s,
            )
        except TimedOut:
            return None
        self._open = None
        self.tally.count(answer)
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
        )
