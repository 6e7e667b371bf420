"""Options of the commands that open a window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from experiments.durations import Duration
from experiments.recording import HOLD_S, HOST_KEY

Function = TypeVar("Function", bound=Callable[..., Any])


def hold_option(function: Function) -> Function:
    """Give a command ``--hold``."""
    return click.option(
        "--hold",
        "hold_s",
        type=Duration(),
        default=f"{HOLD_S:g}",
        show_default=True,
        help="Seconds for which your clips stay on this machine before they are sent.",
    )(function)


def host_key_option(function: Function) -> Function:
    """Give a command ``--host-key``."""
    return click.option(
        "--host-key",
        default=HOST_KEY,
        show_default=True,
        help="Key that, held, makes the function keys the window's own: 'menu', 'right alt' …",
    )(function)
