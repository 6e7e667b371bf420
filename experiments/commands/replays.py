"""``neuralos ctl replay``: run a ledger again."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.connection import Connection, server_options
from experiments.console import Status, emit, json_option
from interactive.replaying.report import ReplayReport


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
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
    ledger_file: Path | None,
    out: Path | None,
    server: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Run the ledger again from step 0 and compare every step, bit for bit.

    Where clips that steps need were purged, it begins at the first checkpoint after their
    last use. Exits with 1 at a divergence, which it names. It needs no server.
    """
    from experiments.replaying import replay_with_progress

    folder = Connection(run, server, token_file).folder()
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
