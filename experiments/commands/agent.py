"""``neuralos agent``."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from experiments.connection import Connection, server_options
from experiments.console import emit, json_option, note
from experiments.durations import Duration
from experiments.ending import Ending
from interactive.client import new_command_id
from interactive.policy import Role


@click.group()
def agent() -> None:
    """Let an agent steer a run, from a process of its own."""


@agent.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--window", default=50, show_default=True, help="Steps of a mean of the loss.")
@click.option("--patience", default=2, show_default=True, help="Means without progress it bears.")
@click.option("--factor", default=0.5, show_default=True, help="What the lr is multiplied with.")
@click.option("--min-lr", default=1e-6, show_default=True, help="It never goes below.")
@click.option("--budget", default=10, show_default=True, help="Commands it may send.")
@click.option("--for", "seconds", type=Duration(), help="End after so long: 90, 120s or 3m.")
@server_options
@json_option
def rule(
    run: Path | None,
    window: int,
    patience: int,
    factor: float,
    min_lr: float,
    budget: int,
    seconds: float | None,
    server: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Halve the learning rate whenever the loss stops falling."""
    from interactive.agents.rules import HalveOnPlateau, PlateauConfig
    from interactive.agents.runner import AgentRunner, RunnerConfig

    config = PlateauConfig(window=window, patience=patience, factor=factor, min_lr=min_lr)
    connection = Connection(run, server, token_file)
    with Ending(seconds) as ending, connection.client(Role.AGENT) as client:
        limits = RunnerConfig(max_actions=budget)
        runner = AgentRunner(client, HalveOnPlateau(config), limits, time.sleep, new_command_id)
        for action in runner.run(until=ending):
            answer = action.answer
            note(f"{answer.state.value} at step {answer.step}: {action.proposal.reason}")
    values = {**asdict(runner.tally), "tokens": 0}
    emit("agent.rule", values, as_json=as_json, text=str(values))
    ending.exit_status()
