"""How an agent is run from the command line: its options, its journal, its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from experiments.connection import Connection, server_options
from experiments.console import emit, json_option, note
from experiments.durations import Duration
from experiments.ending import Ending
from interactive.agents.agent import Agent
from interactive.agents.budget import Budget, Limits
from interactive.agents.journal import AgentJournal, Kind
from interactive.agents.runner import AgentRunner, RunnerConfig
from interactive.client import new_command_id
from interactive.policy import Role

Function = TypeVar("Function", bound=Callable[..., Any])


def running_options(function: Function) -> Function:
    """Give a command what every agent has: a name, a journal, and limits of its own."""
    options = [
        click.argument("run", type=click.Path(path_type=Path), required=False),
        click.option("--name", help="The agent's name; its journal is RUN/agents/NAME."),
        click.option(
            "--journal",
            type=click.Path(path_type=Path),
            help="Folder of the journal, where the run's folder is not at hand.",
        ),
        click.option("--budget", default=20, show_default=True, help="Commands it may propose."),
        click.option("--budget-time", type=Duration(), help="Time it may run, restarts included."),
        click.option(
            "--period",
            "period_s",
            default=2.0,
            show_default=True,
            help="Seconds between two looks.",
        ),
        click.option("--for", "seconds", type=Duration(), help="End after: 90, 120s or 3m."),
    ]
    for option in reversed(options):
        function = option(function)
    return json_option(server_options(function))


@dataclass(frozen=True, slots=True)
class Running:
    """How an agent is run, as the options say it."""

    connection: Connection
    name: str
    journal: Path | None
    limits: Limits
    period_s: float
    seconds: float | None
    as_json: bool

    def open_journal(self) -> AgentJournal:
        """Open the agent's journal; without a run folder and a path it stays in memory."""
        if self.journal is not None:
            return AgentJournal.open(self.journal, time.time)
        if self.connection.run is None:
            return AgentJournal.in_memory(time.time)
        return AgentJournal.open(self.connection.folder().agents / self.name, time.time)

    def steer(
        self, command: str, build: Callable[[AgentJournal, Budget], Agent], **told: Any
    ) -> None:
        """Run the agent to its end and print what it did."""
        with self.open_journal() as journal, Ending(self.seconds) as ending:
            budget = Budget(self.limits, journal)
            journal.write(Kind.SESSION, agent=self.name, told=told)
            decider = build(journal, budget)

            def pause(seconds: float, ending: Ending = ending) -> None:
                ending.event.wait(seconds)

            with self.connection.client(Role.AGENT) as client:
                config = RunnerConfig(period_s=self.period_s)
                runner = AgentRunner(
                    client, decider, config, pause, new_command_id, journal, budget
                )
                for action in runner.run(until=ending):
                    answer = action.answer
                    what = f"{action.proposal.command.command}: {answer.state.value}"
                    why = answer.hint or action.proposal.reason
                    note(f"{what} at step {answer.step}: {why}")
            journal.write(Kind.END, why=runner.ended)
        totals = journal.totals
        values = {
            "proposals": totals.proposals,
            "applied": totals.applied,
            "refused": totals.refused,
            "tokens": totals.tokens,
            "rounds": totals.rounds,
            "calls": totals.calls,
            "money": round(budget.money, 6),
            "ended": runner.ended,
        }
        emit(command, values, as_json=self.as_json, text=str(values))
        ending.exit_status()
