"""An evaluation for the command line: the checkpoint, the progress bar, the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from experiments.console import Failure, Status
from interactive.record.checkpoints import MANIFEST, CheckpointLibrary
from neuralos.build import make_deterministic
from neuralos.evaluation import Evaluation, evaluate_suite
from neuralos.evaluation.evaluation import PREDICTORS
from neuralos.evaluation.evaluation import Progress as Told
from neuralos.play import CHECKPOINTS_FOLDER, newest_checkpoint
from neuralos.weights import ABOUT_FILE, PlayableSimulator, load_simulator


def evaluate_on_suite(
    checkpoint: Path, suite: str, each: int | None, seed: int, cache: Path | None
) -> Evaluation:
    """Evaluate a checkpoint on a suite, with a progress bar on stderr.

    Raises:
        Failure: there is no simulator in that folder.
        CheckpointDamaged: the checkpoint's files are not those of its manifest.
        UnknownSuite: no suite goes by that name.
        SuiteMismatch: the desktop no longer gives what the suite was fixed with.
    """
    make_deterministic()
    loaded = playable(checkpoint)
    with progress_bar() as told:
        return evaluate_suite(
            loaded.simulator, suite, each=each, seed=seed, cache=cache, progress=told
        )


def playable(folder: Path) -> PlayableSimulator:
    """Return the simulator of a checkpoint's folder, or the newest of a run's.

    Raises:
        Failure: there is none, or its files do not fit.
        CheckpointDamaged: the checkpoint's files are not those of its manifest.
    """
    path: Path | None = folder.resolve()
    if not (folder / ABOUT_FILE).is_file():
        path = newest_checkpoint(folder / CHECKPOINTS_FOLDER)
    if path is None:
        raise Failure(
            Status.USAGE,
            "no_checkpoint",
            f"{folder} holds no simulator.",
            "Name the folder of a checkpoint, or that of a run with one.",
        )
    # What a run saved has a manifest; a simulator's own files alone are checked tensor by tensor.
    if (path / MANIFEST).is_file():
        CheckpointLibrary(path.parent).verify(path.name)
    try:
        return load_simulator(path)
    except ValueError as error:
        raise Failure(Status.CHECK_FAILED, "checkpoint_damaged", str(error)) from None


@contextmanager
def progress_bar() -> Iterator[Told]:
    """Show bars on stderr for what an evaluation tells of itself."""
    with Progress(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield told


def result(evaluation: Evaluation) -> dict[str, Any]:
    """Return the command's object."""
    kind, share = evaluation.majority
    return {
        "suite": evaluation.name,
        "seed": evaluation.seed,
        "measures": evaluation.measures(),
        "transitions": evaluation.kinds(),
        "majority": {"kind": kind, "share": share},
        "speed_ms": {
            name: float(np.percentile(evaluation.frame_ms, share))
            for name, share in (("p50", 50), ("p99", 99))
        },
    }


def print_measures(values: Mapping[str, Any]) -> None:
    """Print the measures as a table for people."""
    table = Table("measure", *PREDICTORS, "95 % of model", "majority", "n")
    for name, measure in values["measures"].items():
        low, high = measure["ci95"]
        table.add_row(
            name,
            *(_told(measure.get(predictor)) for predictor in PREDICTORS),
            f"{_told(low)} – {_told(high)}",
            _told(measure["majority"]),
            str(measure["n"]),
        )
    console = Console()
    console.print(table)
    speed = values["speed_ms"]
    console.print(
        f"{values['suite']}; a frame alone takes {speed['p50']:.1f} ms of CPU time "
        f"(99 %: {speed['p99']:.1f} ms)"
    )


def _told(number: float | None) -> str:
    return "" if number is None else f"{number:.3f}"
