"""An evaluation for the command line: the checkpoint, what it is measured on, the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from data_collection.exports.episodes import Episode as Stretch
from data_collection.exports.episodes import select
from data_collection.exports.exporter import ExportOptions
from experiments.console import Failure, Status
from experiments.evaluating.gallery import Gallery
from experiments.evaluating.page import number, write_page
from experiments.trace_access import find_store, open_view
from interactive.record.checkpoints import MANIFEST, CheckpointLibrary
from neuralos.build import make_deterministic
from neuralos.evaluation import Evaluation, evaluate
from neuralos.evaluation.evaluation import MODEL, PREDICTORS, REPLAY_FLOOR, Source, SuiteSource
from neuralos.evaluation.evaluation import Progress as Told
from neuralos.evaluation.shelf import Shelf, default_cache
from neuralos.evaluation.stored import StoredSource
from neuralos.evaluation.suite import load_suite
from neuralos.play import CHECKPOINTS_FOLDER, newest_checkpoint
from neuralos.shapes import Screen
from neuralos.weights import ABOUT_FILE, PlayableSimulator, load_simulator

OpenSource = Callable[[Screen], Source]


@dataclass(frozen=True, slots=True)
class EvaluationWish:
    """What is to be evaluated, and what is to come of it."""

    checkpoint: Path
    seed: int
    html: Path | None


def evaluate_on_suite(
    wish: EvaluationWish, suite: str, each: int | None, cache: Path | None
) -> dict[str, Any]:
    """Evaluate a checkpoint on a suite and return the command's object.

    Raises:
        Failure: there is no simulator in that folder.
        CheckpointDamaged: the checkpoint's files are not those of its manifest.
        UnknownSuite: no suite goes by that name.
        SuiteMismatch: the desktop no longer gives what the suite was fixed with.
        ExtraMissing: matplotlib is not installed, and a page was wished for.
    """
    chosen = load_suite(suite) if each is None else load_suite(suite).part(each)
    folder = cache or default_cache()

    def source(screen: Screen) -> Source:
        return SuiteSource(Shelf(chosen, screen, folder))

    return _evaluate(wish, source, {"suite": chosen.name})


def evaluate_on_traces(wish: EvaluationWish, folder: Path) -> dict[str, Any]:
    """Evaluate a checkpoint on the real frames of a trace store.

    Raises:
        Failure: there is no simulator, or no store, in that folder.
        CheckpointDamaged: the checkpoint's files are not those of its manifest.
        NothingToExport: nothing there may be used.
        NothingToEvaluate: no passage is long enough.
        StoreLocked: another process holds the store.
        ExtraMissing: matplotlib is not installed, and a page was wished for.
    """
    with open_view(find_store(folder)) as view:
        episodes = select(view.summaries(), view.rows, ExportOptions()).episodes
        families: dict[str, list[Stretch]] = {}
        for stretch in episodes:
            family = stretch.header.origin or stretch.header.trace_id
            families.setdefault(family, []).append(stretch)
        first = {family: stretches[0].header.trace_id for family, stretches in families.items()}
        # Of several replays of the same events one is measured on, and another is its floor.
        measured = [
            one
            for family, stretches in families.items()
            for one in stretches
            if one.header.trace_id == first[family]
        ]
        twins = {
            first[family]: next(
                (one for one in stretches if one.header.trace_id != first[family]), None
            )
            for family, stretches in families.items()
        }
        root = view.root

        def source(screen: Screen) -> Source:
            return StoredSource(str(folder), root, measured, twins.get, screen)

        return _evaluate(wish, source, {"traces": str(folder)})


def _evaluate(
    wish: EvaluationWish, source_of: OpenSource, named: Mapping[str, Any]
) -> dict[str, Any]:
    make_deterministic()
    loaded = playable(wish.checkpoint)
    source = source_of(loaded.simulator.screen)
    gallery = Gallery() if wish.html is not None else None
    with progress_bar() as told:
        evaluation = evaluate(
            loaded.simulator,
            source,
            seed=wish.seed,
            progress=told,
            watch=gallery.watch if gallery is not None else None,
        )
    about = {"checkpoint": str(wish.checkpoint), "step": loaded.step, **named}
    values = {**about, **result(evaluation)}
    if gallery is not None and wish.html is not None:
        title = f"{wish.checkpoint.name}, step {loaded.step}"
        write_page(wish.html, title, evaluation, values, gallery)
        values["html"] = str(wish.html)
    return values


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
    """Return the numbers of an evaluation as the command's object has them."""
    kind, share = evaluation.majority
    return {
        "seed": evaluation.seed,
        "measures": evaluation.measures(),
        "transitions": evaluation.kinds(),
        "majority": None if share is None else {"kind": kind, "share": share},
        "replay_floor": "measured" if REPLAY_FLOOR in evaluation.scores else "not available",
        "speed_ms": {
            name: float(np.percentile(evaluation.frame_ms, share))
            for name, share in (("p50", 50), ("p99", 99))
        },
    }


def print_measures(values: Mapping[str, Any]) -> None:
    """Print the measures as a table for people."""
    table = Table(box=None, pad_edge=False)
    table.add_column("measure", no_wrap=True)
    for title in ("model", "(95 %)", "copy last", "first", "ceiling", "n"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, measure in values["measures"].items():
        low, high = measure["ci95"]
        table.add_row(
            name,
            number(measure[MODEL]),
            f"{number(low)}–{number(high)}",
            *(number(measure.get(predictor)) for predictor in PREDICTORS if predictor != MODEL),
            str(measure["n"]),
        )
    console = Console()
    console.print(table)
    speed = values["speed_ms"]
    if values["majority"] is not None:
        kind, share = values["majority"]["kind"], values["majority"]["share"]
        console.print(f"majority: {share:.3f} of the transitions are {kind!r}")
    console.print(
        f"replay floor: {values['replay_floor']}; a frame alone takes {speed['p50']:.1f} ms of "
        f"CPU time (99 %: {speed['p99']:.1f} ms)"
    )
