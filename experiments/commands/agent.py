"""``neuralos agent``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from experiments.agent_running import Running, running_options
from experiments.connection import Connection
from experiments.console import Failure, Status, emit, json_option, note
from experiments.keys import read_key
from interactive.agents.agent import Agent
from interactive.agents.budget import Budget, Limits
from interactive.agents.journal import AgentJournal
from interactive.client import new_command_id


@click.group()
def agent() -> None:
    """Let an agent steer a run, from a process of its own."""


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


@agent.command()
@click.option("--base-url", required=True, help="OpenAI-compatible endpoint, with its /v1.")
@click.option("--model", required=True, help="The model's name there.")
@click.option(
    "--prompt",
    type=click.Choice(["paper", "open"]),
    default="paper",
    show_default=True,
    help="paper: Double, Half or Same. open: every command, planned and reflected upon.",
)
@click.option("--key-env", help="Environment variable with the endpoint's key.")
@click.option("--key-file", type=click.Path(path_type=Path), help="File of mode 0600 with the key.")
@click.option("--every", type=int, help="Ask every so many steps, not at each evaluation.")
@click.option("--from-step", default=0, show_default=True, help="Do not ask before this step.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds for one answer.")
@click.option("--retries", default=2, show_default=True, help="Calls again after one that failed.")
@click.option("--max-output", default=1024, show_default=True, help="Tokens of one answer.")
@click.option("--budget-tokens", type=int, help="Tokens it may use, restarts included.")
@click.option("--budget-money", type=float, help="Money it may spend, restarts included.")
@click.option("--price-in", default=0.0, help="Price of a million tokens of prompts.")
@click.option("--price-out", default=0.0, help="Price of a million tokens of answers.")
@running_options
def llm(
    run: Path | None,
    base_url: str,
    model: str,
    prompt: str,
    key_env: str | None,
    key_file: Path | None,
    every: int | None,
    from_step: int,
    timeout: float,
    retries: int,
    max_output: int,
    budget_tokens: int | None,
    budget_money: float | None,
    price_in: float,
    price_out: float,
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
    """Let a language model steer, through any OpenAI-compatible endpoint."""
    from interactive.agents.conversation import Conversation, RetryConfig
    from interactive.agents.llm import LlmAgent, RoundConfig
    from interactive.agents.model import EndpointConfig
    from interactive.agents.open_prompt import OpenPrompt
    from interactive.agents.paper_prompt import PaperPrompt

    if run is None and journal is None:
        raise Failure(Status.USAGE, "usage", "name the run's folder, or a --journal.")
    try:
        from interactive.agents.endpoint import OpenAiEndpoint
    except ImportError as error:
        hint = "pip install 'neuralos-interactive[llm]'."
        raise Failure(Status.ENVIRONMENT, "extra_missing", f"{error}.", hint) from None
    try:
        limits = Limits(budget, budget_tokens, budget_money, budget_time, price_in, price_out)
    except ValueError as error:
        raise Failure(Status.USAGE, "usage", f"{error}.") from None
    config = EndpointConfig(base_url, model, timeout, max_output)
    endpoint = OpenAiEndpoint(config, read_key(key_env, key_file))

    def build(journal: AgentJournal, budget: Budget) -> Agent:
        tries = RetryConfig(retries=retries)
        talk = Conversation(endpoint, journal, budget, time.sleep, time.monotonic, tries)
        asks = PaperPrompt() if prompt == "paper" else OpenPrompt()
        return LlmAgent(talk, asks, journal, new_command_id, RoundConfig(every, from_step))

    running = Running(
        connection=Connection(run, server, token_file),
        name=name or "llm",
        journal=journal,
        limits=limits,
        period_s=period_s,
        seconds=seconds,
        as_json=as_json,
    )
    running.steer("agent.llm", build, model=model, prompt=prompt, base_url=base_url)


@agent.command("serve-llm")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, help="Port; a free one if not given.")
@click.option("--free", is_flag=True, help="Let it write freely, also where a schema is asked for.")
@click.option("--calibrate", is_flag=True, help="Weigh choices against those without a question.")
@json_option
def serve_llm(host: str, port: int, free: bool, calibrate: bool, as_json: bool) -> None:
    """Serve a small language model from this machine: one thread, no network, no sampling."""
    import socket

    import uvicorn

    from experiments.local_llm import NAME, create_app, load_smollm2

    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    url = f"http://{host}:{listening.getsockname()[1]}/v1"
    note(f"loading {NAME} …")
    app = create_app(load_smollm2(), guided=not free, calibrated=calibrate)
    note(f"{NAME} answers at {url}")
    emit("agent.serve-llm", {"url": url, "model": NAME}, as_json=as_json)
    config = uvicorn.Config(app, log_level="warning")
    uvicorn.Server(config).run(sockets=[listening])
