"""``neuralos play``."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.commands.record import cut_short, record_values
from experiments.commands.window_options import host_key_option
from experiments.console import emit, json_option
from experiments.durations import Duration
from experiments.ending import Ending
from experiments.recording import Sitter, desktops_of, record_to_store
from neuralos.bases import DEFAULT_BASE


@click.command()
@click.argument("checkpoint", default=DEFAULT_BASE)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("traces"),
    show_default=True,
    help="Where a recording goes, if you ask for one.",
)
@click.option("--for", "seconds", type=Duration(), help="End after so long: 90, 120s or 3m.")
@click.option("--seed", default=0, show_default=True, help="Seed of the desktop it starts from.")
@host_key_option
@json_option
def play(
    checkpoint: str,
    out: Path,
    seconds: float | None,
    seed: int,
    host_key: str,
    as_json: bool,
) -> None:
    """Use the simulator of CHECKPOINT in the window: a folder, or a base that comes with it.

    Without CHECKPOINT the shipped base is played; `neuralos bases list` shows what there is.
    The scripted desktop is shown until the simulator is up, and gives it its first frames.
    Right Ctrl + F6 changes between the two. Nothing is recorded unless you ask for it
    (Right Ctrl + F9).
    """
    desktops, start_on = desktops_of(checkpoint)
    sitter = Sitter(seed=seed)
    config = sitter.config("person", start_on=start_on, record=False)
    with Ending(seconds) as ending:
        recorded = record_to_store(out, desktops, sitter, config, host_key, ending)
    values = record_values(recorded)
    if recorded.failure is not None:
        raise cut_short(recorded.failure, values)
    emit("play", values, as_json=as_json)
    ending.exit_status()
