"""Options of the commands that start a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from experiments.durations import Duration

Function = TypeVar("Function", bound=Callable[..., Any])


def loop_options(function: Function) -> Function:
    """Give a command ``--for``, ``--wandb``, ``--host``, ``--port`` and ``--allow-remote``."""
    function = click.option(
        "--allow-remote", is_flag=True, help="Let --host reach beyond this machine."
    )(function)
    function = click.option(
        "--host",
        default="127.0.0.1",
        show_default=True,
        help="Address of the server; 0.0.0.0 is all of this machine's.",
    )(function)
    function = click.option(
        "--port", type=int, default=0, help="Port of the server; a free one by default."
    )(function)
    function = click.option(
        "--wandb",
        "wandb_mode",
        type=click.Choice(["auto", "disabled", "offline", "online"]),
        default="auto",
        show_default=True,
        help="Mirror to Weights & Biases; auto is online with a login, offline without.",
    )(function)
    return click.option(
        "--for", "seconds", type=Duration(), help="End after so long: 90, 120s or 3m."
    )(function)
