"""``neuralos ctl``: look at a run, steer it, replay it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from rich.console import Console
from rich.table import Table

from experiments.arguments import parse_arguments
from experiments.clocks import read_skews
from experiments.commands.deciding import agents, approvals, approve, veto
from experiments.commands.naming import token
from experiments.commands.replays import ablate, dry_run, fork, freeze, replay
from experiments.connection import Connection, server_options
from experiments.console import Failure, Status, emit, json_option, note
from experiments.lags import clip_paths
from experiments.standing import standing
from experiments.summary import read_rows
from interactive.client import CommandAnswer, TimedOut
from interactive.outcome import CommandState
from interactive.policy import Role
from interactive.record.ledger import Entry, read_ledger
from interactive.record.metrics import read_metrics

ANSWER_KEYS = (
    "command_id", "seq", "state", "step", "branch", "old", "requested", "effective", "code", "hint",
)  # fmt: skip
run_argument = click.argument("run", type=click.Path(path_type=Path), required=False)


@click.group()
def ctl() -> None:
    """Look at a run, steer it, replay it. RUN is a run folder."""


for _command in (approvals, approve, veto, agents, token, replay, dry_run, ablate, freeze, fork):
    ctl.add_command(_command)


@ctl.command()
@run_argument
@server_options
@json_option
def status(run: Path | None, server: str | None, token_file: Path | None, as_json: bool) -> None:
    """Say where a run stands; from its files where no server runs."""
    values = standing(Connection(run, server, token_file))
    text = "{run}: {state}, branch {branch}, step {step}, lr {lr}, {url}".format(**values)
    emit("ctl.status", values, as_json=as_json, text=text)


@ctl.command()
@click.argument("words", nargs=-1, required=True, metavar="RUN COMMAND [NAME=VALUE]...")
@click.option("--id", "command_id", type=click.UUID, help="Id of the command; sent once per id.")
@click.option("--at-step", type=int, help="The step before which it takes effect.")
@click.option("--after-evaluation", is_flag=True, help="Wait for the next evaluation.")
@click.option("--branch", help="The branch on which it takes effect; it waits for that.")
@click.option("--expires-at-step", type=int, help="The step from which it must not any more.")
@click.option("--if-generation", type=int, help="Only if so many interventions were applied.")
@click.option("--supersedes", type=click.UUID, help="A command that it takes back, if that waits.")
@click.option("--reason", default="", help="Why, for those who read the ledger.")
@click.option("--wait", "wait_s", default=30.0, show_default=True, help="Seconds to wait.")
@server_options
@json_option
def send(
    words: tuple[str, ...],
    command_id: UUID | None,
    reason: str,
    wait_s: float,
    server: str | None,
    token_file: Path | None,
    as_json: bool,
    **moment: Any,
) -> None:
    """Send a command and wait for its outcome.

    \b
    neuralos ctl send RUN update_optimizer lr=1e-4 --reason "loss is flat"
    neuralos ctl send RUN update_mixture weights.live=2 fresh_rows=1
    neuralos ctl send RUN load_checkpoint checkpoint=main-000100
    neuralos ctl send RUN pause

    Exits with 3 when the command is refused, 6 when --wait runs out (it stands).
    """  # noqa: D301
    names_run = server is None or Path(words[0]).is_dir()
    run, rest = (Path(words[0]), words[1:]) if names_run else (None, words)
    if not rest:
        raise Failure(Status.USAGE, "usage", "name a command, such as pause.")
    command = {"command": rest[0], **parse_arguments(rest[1:])}
    with Connection(run, server, token_file).client(Role.OPERATOR) as client:
        try:
            answer = client.send(
                command, command_id=command_id, reason=reason, wait_s=wait_s, **moment
            )
        except TimedOut as late:
            raise _timed_out(late.answer, wait_s) from None
    values = _answer_values(answer)
    if answer.is_final and answer.state is not CommandState.APPLIED:
        message = f"{rest[0]} {answer.state.value} ({answer.code})."
        raise Failure(
            Status.REFUSED,
            answer.code or answer.state.value,
            message,
            answer.hint or "",
            {"schema": "neuralos.ctl.send/1", **values},
        )
    text = f"{rest[0]}: {answer.state.value} at step {answer.step} on {answer.branch}"
    emit("ctl.send", values, as_json=as_json, text=text)


def _answer_values(answer: CommandAnswer) -> dict[str, Any]:
    values = asdict(answer)
    return {key: values[key] for key in ANSWER_KEYS}


def _timed_out(answer: CommandAnswer, wait_s: float) -> Failure:
    message = f"command {answer.command_id} is still {answer.state.value} after {wait_s:g} s."
    return Failure(Status.TIMED_OUT, "timed_out", message, "It stands: ask again with its --id.")


@ctl.command()
@run_argument
@click.option("--export", type=click.Path(path_type=Path), help="Write the entries to a file.")
@server_options
@json_option
def ledger(
    run: Path | None,
    export: Path | None,
    server: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Show the ordered facts of a run; --export writes them as JSON lines for `replay`."""
    connection = Connection(run, server, token_file)
    if server:
        with connection.client(Role.VIEWER) as client:
            entries = [Entry.from_json(entry) for entry in client.ledger()]
    else:
        entries = read_ledger(connection.folder().ledger)
    objects = [entry.to_json() for entry in entries]
    if export is not None:
        export.write_text("".join(json.dumps(obj) + "\n" for obj in objects), "utf-8")
        note(f"{len(objects)} entries in {export}")
    elif not as_json:
        _print_entries(entries)
    emit("ctl.ledger", {"entries": objects}, as_json=as_json)


def _print_entries(entries: list[Entry]) -> None:
    table = Table("seq", "step", "branch", "what", "who", "effect")
    for entry in entries:
        body = entry.body
        what = body["command"]["command"] if "command" in body else entry.kind.value
        who = body["issuer"]["name"] if "issuer" in body else ""
        effect = body.get("effective") or body.get("withdrawn") or body.get("hint")
        effect = effect or body.get("mark") or ""
        shown = json.dumps(effect) if isinstance(effect, Mapping) else str(effect)
        table.add_row(str(entry.seq), str(entry.step), entry.branch, what, who, shown)
    Console().print(table)


@ctl.command("explain-clip")
@run_argument
@click.argument("clip")
@json_option
def explain_clip(run: Path | None, clip: str, as_json: bool) -> None:
    """Follow a clip: acknowledged, adopted, the steps that learned from it, withdrawn.

    CLIP is a commit number, or TRACE/SEQ.
    """
    folder = Connection(run, None, None).folder()
    skews = read_skews(folder)
    paths = clip_paths(
        read_rows(folder.data), read_ledger(folder.ledger), read_metrics(folder.metrics), skews
    )
    for path in paths.values():
        row = path.row
        if clip in (str(row.commit), f"{row.trace_id}/{row.seq}"):
            values = {
                "commit": row.commit,
                "trace": row.trace_id,
                "seq": row.seq,
                "acknowledged_at": row.acknowledged_wall_s,
                "mark_step": path.mark_step,
                "first_gradient_step": path.first_gradient_step,
                "withdrawn_step": path.withdrawn_step,
                "withdrawn": path.is_withdrawn,
                "clock_skew_s": skews.get(row.trace_id),
                "uses": [{"branch": branch, "step": step} for branch, step in path.uses],
            }
            text = (
                f"clip {row.commit} ({row.trace_id}/{row.seq}): adopted at step {path.mark_step}, "
                f"first learned from at step {path.first_gradient_step}, {len(path.uses)} uses"
                + (f", withdrawn at step {path.withdrawn_step}" if path.is_withdrawn else "")
            )
            emit("ctl.explain-clip", values, as_json=as_json, text=text)
            return
    hint = f"The trainer knows the commits 1 to {len(paths)}."
    raise Failure(Status.USAGE, "unknown_clip", f"no clip {clip!r} reached this run.", hint)
