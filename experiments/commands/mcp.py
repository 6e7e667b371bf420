"""``neuralos mcp``: a run's tools for a language model's client."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.connection import Connection, server_options
from experiments.console import Failure, Status
from interactive.client import RunClient, ServerUnreachable, new_command_id
from interactive.policy import Role
from interactive.server.named_tokens import NamedTokens


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--name", help="Who steers, by a token that `ctl token` made for this name.")
@server_options
def mcp(run: Path | None, name: str | None, server: str | None, token_file: Path | None) -> None:
    """Serve a run's tools over stdio: observe, propose, dry_run, commit, why.

    A client that speaks the Model Context Protocol starts this by itself. It acts with the
    agent's token, within the server's policy for agents.
    """
    try:
        from interactive.mcp.desk import RunDesk
        from interactive.mcp.server import create_mcp_server
    except ImportError as error:
        hint = "pip install 'neuralos-interactive[mcp]'"
        message = f"the package {error.name} is not there."
        raise Failure(Status.ENVIRONMENT, "missing_package", message, hint) from None
    with _client(Connection(run, server, token_file), name) as client:
        title = run.resolve().name if run is not None else str(server)
        create_mcp_server(RunDesk(client, new_command_id), title).run("stdio")


def _client(connection: Connection, name: str | None) -> RunClient:
    if name is None or connection.server is not None:
        return connection.client(Role.AGENT)
    folder = connection.folder()
    token, address = NamedTokens(folder.named_tokens).named(name), folder.read_server()
    if token is None:
        hint = f"neuralos ctl token {folder.path} --name {name}"
        raise Failure(Status.USAGE, "no_token", f"{name} has no token in this run.", hint)
    if address is None:
        raise ServerUnreachable(f"no server has served {folder.path} yet")
    return RunClient.connect(address.url, token.secret)
