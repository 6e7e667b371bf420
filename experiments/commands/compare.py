"""``neuralos compare``."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.console import emit, json_option


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("comparison"),
    show_default=True,
    help="Folder for the page and its figures; what is there is replaced.",
)
@json_option
def compare(runs: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Set runs side by side: curves, interventions, configuration, outcomes, branches.

    RUN is a run folder; replays, ablations and freezes are such, too. Writes index.html,
    which needs nothing else, and one PNG a figure.
    """
    from experiments.comparing.comparison import compare_runs, print_outcomes

    found = compare_runs(runs, out)
    if not as_json:
        print_outcomes(found["tables"])
    emit("compare", found, as_json=as_json, text=f"page: {found['html']}")
