"""The parts of a loop as child processes: ``python -m experiments.processes PART RUN``.

A child logs to its standard output, ends cleanly when its standard input closes, and
says why in one line when it cannot go on.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Literal, cast

import click

from experiments.children import watch_parent
from experiments.console import run_cli


@click.group()
def parts() -> None:
    """Run one part of a loop; started by `neuralos live` and `neuralos train`."""


run_argument = click.argument("run", type=click.Path(path_type=Path, exists=True))


@parts.command()
@run_argument
@click.option("--host", required=True, help="Address to listen on.")
@click.option("--port", type=int, required=True, help="Port to listen on.")
@click.option("--allow-remote", is_flag=True, help="Listen beyond this machine.")
def server(run: Path, host: str, port: int, allow_remote: bool) -> None:
    """Control, ingest and page."""
    from experiments.address import Address
    from experiments.server import serve
    from interactive.record.run_folder import RunFolder

    serve(RunFolder.open(run), Address(host, port, allow_remote), watch_parent())


@parts.command()
@run_argument
def trainer(run: Path) -> None:
    """The training loop, and under torchrun rank 0 of several."""
    from experiments.config import run_steering
    from experiments.ranks import Place, joined
    from interactive.integrations.worker import run_worker
    from interactive.steering.steered import Steered

    ended = watch_parent()

    def end_when_asked(boundary: Steered) -> None:
        def wait() -> None:
            ended.wait()
            boundary.request_end()

        threading.Thread(target=wait, name="end", daemon=True).start()

    with joined(Place.of(), ended):
        run_worker(run, cadence=run_steering(run).cadence(), on_open=end_when_asked)


@parts.command()
@run_argument
def rank(run: Path) -> None:
    """One of several ranks of a training loop without a server; started by torchrun."""
    from experiments.ranks import Place, train_rank

    train_rank(run, Place.of())


@parts.command()
@run_argument
@click.option("--url", required=True, help="Address of the run's server.")
@click.option("--seed", type=int, default=0, help="Seed of the desktop and the scripted user.")
@click.option("--user", default="", help="A scripted user's name; empty is a person.")
@click.option("--hold", "hold_s", type=float, required=True, help="Seconds before clips are sent.")
@click.option("--host-key", required=True, help="The window's own key.")
def window(run: Path, url: str, seed: int, user: str, hold_s: float, host_key: str) -> None:
    """The window, recorded and streamed into the run."""
    from experiments.recording import Sitter, desktops_of_run, record_to_server
    from experiments.standing import wait_for_training
    from experiments.summary import spool_folder
    from experiments.window_sign import window_sign
    from interactive.policy import Role
    from interactive.record.checkpoints import CheckpointLibrary
    from interactive.record.run_folder import RunFolder
    from interactive.server.tokens import read_token
    from neuralos.data.mixture import LIVE_SOURCE

    ended = watch_parent()
    folder = RunFolder.open(run)
    sitter = Sitter(user, seed)
    library = CheckpointLibrary(folder.checkpoints)
    with window_sign(folder):
        if user:
            # A person may begin at once; a scripted user's clips would only wait.
            wait_for_training(folder, ended)
        recorded = record_to_server(
            spool_folder(folder),
            url,
            read_token(folder.tokens, Role.COLLECTOR),
            desktops_of_run(folder.path.resolve(), lambda: bool(library.manifests())),
            sitter,
            sitter.config(LIVE_SOURCE, start_on="real", record=True, hold_s=hold_s),
            host_key,
            ended.is_set,
        )
    if recorded.failure is not None:
        raise recorded.failure
    click.echo(f"recorded {recorded.tally.clips} clips at {recorded.fps:.1f} frames a second")


@parts.command()
@run_argument
@click.option("--mode", type=click.Choice(["offline", "online"]), required=True, help="W&B mode.")
def mirror(run: Path, mode: str) -> None:
    """The W&B mirror."""
    from experiments.wandb_mirror import mirror as follow
    from interactive.record.run_folder import RunFolder

    ended = watch_parent()
    follow(RunFolder.open(run), cast(Literal["offline", "online"], mode), ended.wait)


@parts.command()
@run_argument
@click.argument("request")
@click.argument("out", type=click.Path(path_type=Path))
def job(run: Path, request: str, out: Path) -> None:
    """Work beside the run, asked for through the server."""
    from experiments.jobs.work import do_job

    do_job(run, request, out, watch_parent())


if __name__ == "__main__":
    sys.exit(run_cli(parts, sys.argv[1:]))
