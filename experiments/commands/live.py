"""``neuralos live``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from experiments.commands.loop_options import loop_options
from experiments.commands.window_options import hold_option, host_key_option
from experiments.config import config_options, load_config
from experiments.console import Failure, Status, emit, json_option, note
from experiments.durations import Duration
from experiments.live import LoopOptions, run_loop
from experiments.ranks import Place


@click.command()
@click.option("--headless", is_flag=True, help="No window: a scripted user in its place.")
@click.option(
    "--headless-for",
    type=Duration(),
    help="End after so long where there is no display; elsewhere as long as you like.",
)
@click.option("--seed", type=int, default=None, help="Seed of the run, the desktop and its users.")
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    default=Path("runs/live"),
    show_default=True,
    help="Run folder; one that exists is continued.",
)
@hold_option
@host_key_option
@loop_options
@config_options
@json_option
def live(
    headless: bool,
    seconds: float | None,
    headless_for: float | None,
    seed: int | None,
    run: Path,
    hold_s: float,
    host_key: str,
    wandb_mode: str,
    host: str,
    port: int,
    allow_remote: bool,
    config: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Use a desktop while a simulator of it learns from you, and steer the training.

    A window with a small desktop opens. What you do in it is recorded (after you agree)
    and streamed into a training run within seconds. Right Ctrl + F6 changes between the
    desktop and what the simulator has learned of it; the printed address is the page from
    which you steer the run. Close the window or press Ctrl-C to end; the same command
    continues the run.
    """
    if Place.of().has_others:
        message = "a loop with a window runs on one rank."
        hint = "Start `neuralos train` under torchrun, and feed it with `neuralos record`."
        raise Failure(Status.REFUSED, "one_rank_only", message, hint)
    options = LoopOptions(
        run=run,
        command="live",
        window=True,
        headless=headless,
        seconds=seconds,
        headless_seconds=headless_for,
        wandb=wandb_mode,
        host=host,
        port=port,
        allow_remote=allow_remote,
        hold_s=hold_s,
        host_key=host_key,
    )
    ended = run_loop(options, load_config(config, overrides, seed), note)
    emit("live", ended.values, as_json=as_json, text=_in_words(ended.values))
    ended.exit_status()


def _in_words(values: dict[str, Any]) -> str:
    loss, clips = values["loss"], values["clips"]
    lines = [
        f"{values['steps']} steps, loss {loss['first']} -> {loss['last']}; "
        f"{clips['acknowledged']} clips acknowledged, {clips['used']} learned from",
        f"newest rollout, real above and simulated below: {values['rollout_png'] or 'none yet'}",
        f"page of this run: neuralos serve {values['run']}",
        f"to continue it:   neuralos live --run {values['run']}",
    ]
    return "\n".join(lines)
