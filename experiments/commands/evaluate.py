"""``neuralos evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.console import emit, json_option


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--suite", default="basic-v1", show_default=True, help="Fixed episodes, by name.")
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
    suite: str,
    quick: int | None,
    seed: int,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Measure the simulator of CHECKPOINT (or of a run's newest) beside its baselines.

    Rollouts of fixed, held-out episodes: cursor, transitions, tasks, picture quality. Each
    number stands beside copying the last known frame, a frozen first frame, and the best that
    the autoencoder can show, with a 95 % bootstrap interval over episodes.
    """
    from experiments.evaluating import evaluate_on_suite, print_measures, result

    evaluation = evaluate_on_suite(checkpoint, suite, quick, seed, cache)
    values = result(evaluation)
    if not as_json:
        print_measures(values)
    emit("evaluate", values, as_json=as_json)
