"""``neuralos evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.console import emit, json_option

_SUITE = "basic-v1"


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--suite", help=f"Fixed episodes, by name; {_SUITE} if nothing is said.")
@click.option(
    "--traces",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A store's folder, or a run's: measure on what was recorded there.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with tables, curves and pictures, which needs nothing else.",
)
@click.option("--quick", type=int, help="Only so many episodes of each group: no result.")
@click.option("--seed", default=0, show_default=True, help="Of the noise and the intervals.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Where the suite's frames are kept; NEURALOS_CACHE or ~/.cache/neuralos if not given.",
)
@json_option
def evaluate(
    checkpoint: Path,
    suite: str | None,
    traces: Path | None,
    html: Path | None,
    quick: int | None,
    seed: int,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Measure the simulator of CHECKPOINT (or of a run's newest) beside its baselines.

    Rollouts of held-out passages: cursor, transitions, tasks, picture quality. Each number
    stands beside copying the last known frame, a frozen first frame, and the best that the
    autoencoder can show, with a 95 % bootstrap interval over episodes.
    """
    from experiments.evaluating.running import (
        EvaluationWish,
        evaluate_on_suite,
        evaluate_on_traces,
        print_measures,
    )

    if traces is not None and (suite is not None or quick is not None):
        raise click.UsageError("--traces goes with neither --suite nor --quick")
    wish = EvaluationWish(checkpoint, seed, html)
    if traces is not None:
        values = evaluate_on_traces(wish, traces)
    else:
        values = evaluate_on_suite(wish, suite or _SUITE, quick, cache)
    if not as_json:
        print_measures(values)
    page = f"page: {html}" if html is not None else ""
    emit("evaluate", values, as_json=as_json, text=page)
