"""``neuralos record``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from data_collection.desktops.registry import PROFILES
from experiments.commands.window_options import hold_option, host_key_option
from experiments.console import Failure, Status, as_failure, emit, json_option, note
from experiments.doctor import has_display
from experiments.durations import Duration
from experiments.ending import Ending
from experiments.recording import (
    Recorded,
    Sitter,
    desktops_of,
    record_to_server,
    record_to_store,
)
from interactive.policy import Role
from interactive.server.tokens import read_token
from neuralos.data.mixture import LIVE_SOURCE


@click.command()
@click.option(
    "--desktop",
    default="scripted",
    show_default=True,
    help="scripted, x11 (a real one), a shipped base, or a checkpoint's folder.",
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default=PROFILES[0],
    show_default=True,
    help="What runs on an x11 desktop.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of a trace store to record into."
)
@click.option("--server", help="Address of a run's server to stream to.")
@click.option(
    "--token-file", type=click.Path(path_type=Path), help="File with the token for --server."
)
@click.option(
    "--spool",
    type=click.Path(path_type=Path),
    default=Path("runs/spool"),
    show_default=True,
    help="Where clips wait for the server; they survive a crash.",
)
@click.option("--user", default="", help="A scripted user in place of you: task or explorer.")
@click.option("--for", "seconds", type=Duration(), help="End after so long: 90, 120s or 3m.")
@click.option("--seed", default=0, show_default=True, help="Seed of desktop and scripted user.")
@hold_option
@host_key_option
@json_option
def record(
    desktop: str,
    profile: str,
    out: Path | None,
    server: str | None,
    token_file: Path | None,
    spool: Path,
    user: str,
    seconds: float | None,
    seed: int,
    hold_s: float,
    host_key: str,
    as_json: bool,
) -> None:
    """Use a desktop in a window and record what you do, without a trainer on this machine.

    With --server the clips go to a run that trains elsewhere; with --out (the default is
    ./traces) they stay here. Right Ctrl + F1 in the window shows the keys: among them F8,
    which redacts while it is held and, tapped, cuts the last 30 seconds.
    """
    if not has_display() and not user:
        raise Failure(
            Status.ENVIRONMENT,
            "no_display",
            "there is no display for a window.",
            "Log in to a desktop, or let a scripted user record: --user task.",
        )
    if not has_display():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    desktops, start_on = desktops_of(desktop, profile)
    sitter = Sitter(user, seed)
    source = LIVE_SOURCE if server else "person"
    config = sitter.config(source, start_on=start_on, record=True, hold_s=hold_s)
    with Ending(seconds) as ending:
        if server is None:
            where = out or Path("traces")
            recorded = record_to_store(where, desktops, sitter, config, host_key, ending)
        else:
            if token_file is None:
                raise Failure(Status.USAGE, "no_token", "--server also needs --token-file.")
            where = spool
            token = read_token(token_file, Role.COLLECTOR)
            recorded = record_to_server(
                spool, server, token, desktops, sitter, config, host_key, ending
            )
            if recorded.waiting or recorded.unanswered_withdrawals:
                note(
                    f"{recorded.waiting} clips and {recorded.unanswered_withdrawals} withdrawals "
                    f"wait in {spool}; the same command sends them"
                )
    values = record_values(recorded)
    if recorded.failure is not None:
        raise cut_short(recorded.failure, values)
    text = f"{values['clips']} clips of {values['trace'] or 'no trace'} in {server or where}"
    emit("record", values, as_json=as_json, text=text)
    ending.exit_status()


def cut_short(failure: Exception, values: dict[str, Any]) -> Failure:
    """Return the end of a command whose recording was cut short, with what was kept."""
    known = as_failure(failure)
    if known is None:
        raise failure
    kept = f"{values['clips']} clips recorded before are kept."
    hint = kept if known.hint in known.message else f"{known.hint} {kept}"
    return Failure(known.status, known.code, known.message, hint, values)


def record_values(recorded: Recorded) -> dict[str, Any]:
    """Return the object of ``neuralos record``."""
    tally = recorded.tally
    return {
        "trace": tally.traces[-1] if tally.traces else None,
        "traces": list(tally.traces),
        "frames": tally.frames,
        "clips": tally.clips,
        "fps": round(recorded.fps, 2),
        "late": tally.late,
        "withdrawn": tally.withdrawn_clips,
        "acknowledged": recorded.push.acknowledged,
        "quarantined": recorded.push.quarantined,
        "waiting": recorded.waiting,
    }
