"""``neuralos serve``."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.address import Address, free_port
from experiments.console import emit, json_option
from experiments.ending import Ending
from experiments.server import serve as serve_run
from interactive.record.run_folder import RunFolder
from interactive.server.tokens import create_tokens


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=0, help="Port; the run's last one or a free one.")
@click.option("--allow-remote", is_flag=True, help="Let --host reach beyond this machine.")
@json_option
def serve(run: Path, host: str, port: int, allow_remote: bool, as_json: bool) -> None:
    """Serve a run that is finished or waits for its trainer, until Ctrl-C."""
    folder = RunFolder.open(run)
    create_tokens(folder)
    address = Address(host, free_port(host, port, folder.read_server()), allow_remote)
    emit("serve", {"url": address.url}, as_json=as_json, text=f"serving {run} at {address.url}")
    with Ending() as ending:
        serve_run(folder, address, ending.event)
    ending.exit_status()
