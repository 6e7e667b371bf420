"""``neuralos ctl approvals, approve, veto, agents``: what people decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from experiments.connection import Connection, server_options
from experiments.console import Failure, Status, emit, json_option
from interactive.outcome import CommandState
from interactive.policy import Role

run_argument = click.argument("run", type=click.Path(path_type=Path), required=False)
reason_option = click.option("--reason", default="", help="Why, for those who read the ledger.")


def _named(words: tuple[str, ...], server: str | None) -> tuple[Path | None, str]:
    """Return the run folder, if one is named, and the last word."""
    if len(words) != (2 if server is None else 1):
        raise Failure(
            Status.USAGE, "usage", "name the run (or --server), and one word more: see --help."
        )
    return (None if server else Path(words[0])), words[-1]


def _decide(
    verb: str,
    words: tuple[str, ...],
    reason: str,
    server: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    run, command_id = _named(words, server)
    with Connection(run, server, token_file).client(Role.OPERATOR) as client:
        decide = client.approve if verb == "approve" else client.veto
        try:
            answer = decide(command_id, reason)
        except ValueError:
            raise Failure(Status.USAGE, "usage", f"{command_id!r} is no command's id.") from None
    values: dict[str, Any] = {
        "command_id": answer.command_id,
        "seq": answer.seq,
        "state": answer.state.value,
        "code": answer.code,
        "hint": answer.hint,
    }
    if answer.state is CommandState.REJECTED:
        schema = {"schema": f"neuralos.ctl.{verb}/1", **values}
        raise Failure(
            Status.REFUSED, answer.code or "", f"{verb} refused.", answer.hint or "", schema
        )
    emit(f"ctl.{verb}", values, as_json=as_json, text=f"{command_id}: {answer.state.value}")


@click.command()
@click.argument("words", nargs=-1, metavar="RUN COMMAND_ID")
@reason_option
@server_options
@json_option
def approve(
    words: tuple[str, ...], reason: str, server: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Let a command through that waits for approval."""
    _decide("approve", words, reason, server, token_file, as_json)


@click.command()
@click.argument("words", nargs=-1, metavar="RUN COMMAND_ID")
@reason_option
@server_options
@json_option
def veto(
    words: tuple[str, ...], reason: str, server: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Refuse a command that waits for approval, for good."""
    _decide("veto", words, reason, server, token_file, as_json)


@click.command()
@run_argument
@server_options
@json_option
def approvals(run: Path | None, server: str | None, token_file: Path | None, as_json: bool) -> None:
    """List the commands that wait for a person's yes or no."""
    with Connection(run, server, token_file).client(Role.VIEWER) as client:
        waiting = client.approvals()
    lines = []
    for one in waiting:
        who, what = one["issuer"]["name"], one["command"]["command"]
        lines.append(f"{one['command_id']}  {who}: {what}  {one['reason']}")
    text = "\n".join(lines) or "nothing waits for approval"
    emit("ctl.approvals", {"approvals": waiting}, as_json=as_json, text=text)


@click.command()
@click.argument("words", nargs=-1, metavar="RUN halt|allow|status")
@reason_option
@server_options
@json_option
def agents(
    words: tuple[str, ...], reason: str, server: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Halt all agents of a run, let them act again, or say how it stands."""
    run, verb = _named(words, server)
    role = Role.VIEWER if verb == "status" else Role.OPERATOR
    if verb not in ("halt", "allow", "status"):
        raise Failure(Status.USAGE, "usage", f"{verb!r} is none of halt, allow and status.")
    with Connection(run, server, token_file).client(role) as client:
        if verb == "halt":
            standing = client.halt_agents(reason)
        else:
            standing = client.allow_agents() if verb == "allow" else client.agents()
    text = "agents are halted" if standing["halted"] else "agents may send commands"
    emit("ctl.agents", standing, as_json=as_json, text=text)
