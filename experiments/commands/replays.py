"""``neuralos ctl replay``, ``dry-run``, ``ablate``, ``freeze``: steps made again, or otherwise."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.arguments import parse_arguments
from experiments.connection import Connection, server_options
from experiments.console import Failure, Status, emit, json_option, note
from interactive.replaying.report import ReplayReport


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.argument("script", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option(
    "--ledger",
    "ledger_file",
    type=click.Path(path_type=Path, exists=True),
    help="Replay under this ledger (see `ctl ledger --export`) instead of the run's own.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the replay; after a kill the same one goes on. A new one in RUN/replays.",
)
@server_options
@json_option
def replay(
    run: Path | None,
    script: tuple[str, ...],
    ledger_file: Path | None,
    out: Path | None,
    server: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Run the ledger again from step 0 and compare every step, bit for bit.

    Where clips that steps need were purged, it begins at the first checkpoint after their
    last use. Exits with 1 at a divergence, which it names. It needs no server.

    \b
    neuralos ctl replay RUN -- python train.py

    replays a run inside the script of yours that made it. A run that `train` made on
    several ranks is replayed on as many, started here.
    """  # noqa: D301
    from experiments.ranks import torchrun
    from experiments.replaying import (
        ranks_of_run,
        replay_script_with_progress,
        replay_with_progress,
    )

    folder = Connection(run, server, token_file).folder()
    ranks = ranks_of_run(folder)
    if not script and ranks > 1:
        note(f"replaying on {ranks} ranks, as it was trained: floats add up in their order")
        script = tuple(torchrun(ranks, "rank", str(folder.path.resolve())))
    if script:
        report = replay_script_with_progress(folder.path, script, ledger_file, out)
    else:
        report = replay_with_progress(folder.path, ledger_file, out)
    emit("ctl.replay", report.to_json(), as_json=as_json, text=_in_words(report))
    if not report.is_identical:
        raise click.exceptions.Exit(int(Status.CHECK_FAILED))


def _in_words(report: ReplayReport) -> str:
    if report.first_divergence is None:
        since = f" since {report.base}; before it, clips are gone" if report.base else ""
        text = f"{report.identical} of {report.steps} steps are identical{since}"
    else:
        found = report.first_divergence
        text = (
            f"diverges at step {found.step} on {found.branch}: {found.field} was "
            f"{found.recorded}, is {found.replayed}"
        )
    changes = [f"{field} was {old}, is {new}" for field, old, new in report.differs]
    return "\n".join([text, *(["others than then: " + "; ".join(changes)] if changes else [])])


@click.command("dry-run")
@click.argument("words", nargs=-1, required=True, metavar="RUN COMMAND [NAME=VALUE]...")
@click.option("--steps", default=20, show_default=True, help="Steps of each of the two forks.")
@click.option("--checkpoint", help="Where to fork; the newest whole checkpoint without it.")
@server_options
@json_option
def dry_run(
    words: tuple[str, ...],
    steps: int,
    checkpoint: str | None,
    server: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Try a change on a short fork of a run, and say what it does to the loss.

    \b
    neuralos ctl dry-run RUN update_optimizer lr=1e-4 --steps 50

    Two forks start at the same checkpoint and draw the same data; one has the change. The
    run is only read. Exits with 3 when the run would refuse the command.
    """  # noqa: D301
    from experiments.dry_running import try_command

    names_run = server is None or Path(words[0]).is_dir()
    run, rest = (Path(words[0]), words[1:]) if names_run else (None, words)
    if not rest:
        raise Failure(Status.USAGE, "usage", "name a command, such as update_optimizer.")
    command = {"command": rest[0], **parse_arguments(rest[1:])}
    found = try_command(
        Connection(run, server, token_file), command, steps, checkpoint, through_server=bool(server)
    )
    if found["refused"] is not None:
        refused = found["refused"]
        values = {"schema": "neuralos.ctl.dry-run/1", **found}
        message = f"{rest[0]} would be refused ({refused['code']})."
        raise Failure(Status.REFUSED, refused["code"], message, refused["hint"], values)
    ends = f"{found['with']['mean']} with it, {found['without']['mean']} without"
    text = f"mean loss over {steps} steps from {found['base']}: {ends}"
    emit("ctl.dry-run", found, as_json=as_json, text=text)


seeds_option = click.option(
    "--seeds", default=1, show_default=True, type=click.IntRange(1, 50), help="How many seeds."
)
folder_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the runs; after a kill the same one goes on. A new one in RUN/replays.",
)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--drop", multiple=True, type=int, metavar="SEQ", help="Leave out; may be repeated.")
@click.option("--each", is_flag=True, help="Leave each intervention out once.")
@click.option("--relative", is_flag=True, help="Numbers keep their ratio, not their value.")
@seeds_option
@folder_option
@json_option
def ablate(
    run: Path,
    drop: tuple[int, ...],
    each: bool,
    relative: bool,
    seeds: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run again without some interventions: what was each worth?

    SEQ is the number of an intervention in the ledger (`ctl ledger`). Those named are left
    out together; --each leaves out one at a time. Needs no server.
    """
    from experiments.counterfactuals import ablate_run, print_rows, shown

    if bool(drop) == each:
        raise Failure(Status.USAGE, "usage", "name --drop SEQ (repeatedly), or --each.")
    chosen = None if each else drop
    found = shown(
        lambda told: ablate_run(run, out, chosen, relative=relative, seeds=seeds, told=told)
    )
    if not as_json:
        print_rows(found["rows"])
    emit("ctl.ablate", found, as_json=as_json, text=f"runs: {found['out']}")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@seeds_option
@folder_option
@json_option
def freeze(run: Path, seeds: int, out: Path | None, as_json: bool) -> None:
    """Turn the ledger into a static schedule and run it from step 0.

    Writes schedule.toml and compares three runs: steered, frozen and untouched. Needs no
    server.
    """
    from experiments.counterfactuals import freeze_run, print_rows, shown

    found = shown(lambda told: freeze_run(run, out, seeds=seeds, told=told))
    if not as_json:
        print_rows(found["rows"])
    same = f"{found['identical']} of {found['steps']} steps are those of the steered line"
    emit("ctl.freeze", found, as_json=as_json, text=f"schedule: {found['schedule']}; {same}")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("checkpoint")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The new run folder.")
@click.option("--steps", type=click.IntRange(0), default=0, help="Train it so many steps at once.")
@json_option
def fork(run: Path, checkpoint: str, out: Path, steps: int, as_json: bool) -> None:
    """Begin a run from a checkpoint of another, which may go on meanwhile.

    Nothing is copied but facts: clips and the checkpoint's files are linked. With --steps it
    is trained here, without a server; later with `train --run`, when no server holds the
    clips.
    """
    from experiments.forking import fork_run

    found = fork_run(run, checkpoint, out, steps)
    emit("ctl.fork", found, as_json=as_json, text=f"{found['run']}: step {found['step']}")
