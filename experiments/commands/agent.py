"""``neuralos agent``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from experiments.connection import Connection, server_options
from experiments.console import Failure, Status, emit, json_option, note
from experiments.durations import Duration
from experiments.ending import Ending
from interactive.agents.agent import Agent
from interactive.agents.budget import Budget, Limits
from interactive.agents.journal import AgentJournal, Kind
from interactive.agents.runner import AgentRunner, RunnerConfig
from interactive.client import new_command_id
from interactive.policy import Role

Function = TypeVar("Function", bound=Callable[..., Any])


@click.group()
def agent() -> None:
    """Let an agent steer a run, from a process of its own."""


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


@agent.command()
@click.option(
    "--rule",
    type=click.Choice(["halve", "reduce", "rollback"]),
    default="halve",
    show_default=True,
    help="halve: on a plateau. reduce: torch's ReduceLROnPlateau. rollback: from NaN or a spike.",
)
@click.option("--window", default=50, show_default=True, help="Steps of a mean or a median.")
@click.option("--patience", default=2, show_default=True, help="Means without progress it bears.")
@click.option("--factor", default=0.5, show_default=True, help="What the lr is multiplied with.")
@click.option("--min-lr", default=1e-6, show_default=True, help="It never goes below.")
@click.option("--threshold", type=float, help="The least progress that counts, as a part.")
@click.option("--cooldown", default=0, show_default=True, help="reduce: means after a change.")
@click.option("--measure", help="reduce: watch this measure of the evaluations, not the loss.")
@click.option(
    "--mode",
    type=click.Choice(["min", "max"]),
    default="min",
    show_default=True,
    help="reduce: whether the measure is to fall or to rise.",
)
@running_options
def rule(
    run: Path | None,
    rule: str,
    window: int,
    patience: int,
    factor: float,
    min_lr: float,
    threshold: float | None,
    cooldown: int,
    measure: str | None,
    mode: str,
    name: str | None,
    journal: Path | None,
    budget: int,
    budget_time: float | None,
    period_s: float,
    seconds: float | None,
    server: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Let a rule steer: it lowers the learning rate, or goes back to a good checkpoint."""
    from interactive.agents.reduce import ReduceConfig, ReduceOnPlateau
    from interactive.agents.rollback import Rollback, RollbackConfig
    from interactive.agents.rules import HalveOnPlateau, PlateauConfig

    least: dict[str, Any] = {} if threshold is None else {"threshold": threshold}
    shared: dict[str, Any] = {"window": window, "factor": factor, "min_lr": min_lr}
    try:
        decider: Agent
        if rule == "halve":
            decider = HalveOnPlateau(PlateauConfig(**shared, **least, patience=patience))
        elif rule == "reduce":
            words: dict[str, Any] = {"cooldown": cooldown, "measure": measure, "mode": mode}
            decider = ReduceOnPlateau(ReduceConfig(**shared, **least, **words, patience=patience))
        else:
            decider = Rollback(RollbackConfig(**shared, least=min(20, window)))
    except ValueError as error:
        raise Failure(Status.USAGE, "usage", f"{error}.") from None
    running = Running(
        connection=Connection(run, server, token_file),
        name=name or rule,
        journal=journal,
        limits=Limits(actions=budget, wall_s=budget_time),
        period_s=period_s,
        seconds=seconds,
        as_json=as_json,
    )
    running.steer("agent.rule", lambda journal, budget: decider, rule=rule)
