"""``neuralos ctl token``."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.connection import Connection
from experiments.console import Failure, Status, emit, json_option
from interactive.outcome import IssuerKind, Rejected
from interactive.server.named_tokens import NamedTokens


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Who steers with it, as the ledger will say.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in IssuerKind]),
    default=IssuerKind.MODEL.value,
    show_default=True,
    help="What the bearer is.",
)
@json_option
def token(run: Path, name: str, kind: str, as_json: bool) -> None:
    """Make a token of its own for an agent, with the agents' rights and a name.

    It is written to RUN/named_tokens.json, which only you can read, and holds at once.
    """
    folder = Connection(run, None, None).folder()
    made = NamedTokens(folder.named_tokens).mint(name, IssuerKind(kind))
    if isinstance(made, Rejected):
        raise Failure(Status.REFUSED, made.code.value, f"no token for {name}.", made.hint)
    values = {"name": name, "kind": kind, "role": "agent", "file": str(folder.named_tokens)}
    emit("ctl.token", values, as_json=as_json, text=f"{name} ({kind}): in {folder.named_tokens}")
