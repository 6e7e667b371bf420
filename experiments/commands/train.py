"""``neuralos train``."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.commands.loop_options import loop_options
from experiments.config import load_config, set_option
from experiments.console import emit, json_option, note
from experiments.live import LoopOptions, run_loop
from experiments.ranks import Place, interrupt_at_sigterm, train_rank
from experiments.summary import newest_checkpoint
from neuralos.data.config import check_lanes


@click.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    default=Path("runs/train"),
    show_default=True,
    help="Run folder; one that exists is continued.",
)
@click.option(
    "--from", "start", default="", help="Begin with a shipped base, or a checkpoint's folder."
)
@click.option("--seed", type=int, default=None, help="Seed of the run and its base data.")
@loop_options
@set_option
@json_option
def train(
    config: Path | None,
    run: Path,
    start: str,
    seconds: float | None,
    seed: int | None,
    wandb_mode: str,
    host: str,
    port: int,
    allow_remote: bool,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train a simulator, with the server that steers it and takes recordings.

    CONFIG is a TOML file; without one the built-in tiny configuration is used. Windows
    elsewhere feed the run with `neuralos record --server URL --token-file F`; on another
    machine with `--host 0.0.0.0 --allow-remote` here.

    \b
    torchrun --nproc-per-node 2 --no-python -- neuralos train CONFIG --run RUN

    trains on two ranks, which share the lanes of each batch.
    """  # noqa: D301
    if start:
        overrides = (*overrides, f'training.start="{start}"')
    place = Place.of()
    settings = load_config(config, overrides, seed)
    micro_batches = settings.neuralos.training.micro_batches
    check_lanes(settings.neuralos.lanes.lanes, micro_batches, place.size)
    if place.rank:
        train_rank(run, place)
        return
    if place.has_others:
        interrupt_at_sigterm()
    options = LoopOptions(
        run=run,
        command="train",
        ranks=place.size,
        window=False,
        seconds=seconds,
        wandb=wandb_mode,
        host=host,
        port=port,
        allow_remote=allow_remote,
    )
    ended = run_loop(options, settings, note)
    found = ended.values
    checkpoint = newest_checkpoint(run)
    values = {**{key: found[key] for key in ("steps", "loss", "run")}, "checkpoint": checkpoint}
    text = f"{found['steps']} steps, loss {found['loss']}; newest checkpoint: {checkpoint}"
    emit("train", values, as_json=as_json, text=text)
    ended.exit_status()
