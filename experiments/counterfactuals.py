"""Ablations and freezes from the command line and from jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from experiments.config import load_config
from interactive.record.run_folder import RunFolder
from interactive.replaying.ablate import ablate
from interactive.replaying.counterfactual import Making
from interactive.replaying.freeze import freeze
from interactive.replaying.replay import free_folder

Told = Callable[[str, int], None]
"""Told the name of a run, and the steps that it has made."""


def with_seed(folder: RunFolder, seed: int) -> str:
    """Return the text of a run's configuration with another seed."""
    return load_config(folder.config, (), seed).to_toml()


def ablate_run(
    run: Path,
    out: Path | None,
    drop: Sequence[int] | None,
    *,
    relative: bool,
    seeds: int,
    told: Told,
) -> dict[str, Any]:
    """Return the object of ``neuralos ctl ablate``.

    Args:
        run: the run folder.
        out: where the runs go; a new folder in the run's ``replays`` if None.
        drop: seqs to leave out together; each that changes numbers by itself if None.
        relative: whether numbers keep their ratio rather than their value.
        seeds: how many seeds.
        told: follows the work.
    """
    out = out or free_folder(RunFolder.open(run).replays, "ablate")
    rows = ablate(
        run,
        out,
        drops=None if drop is None else [set(drop)],
        relative=relative,
        seeds=seeds,
        making=Making(with_seed=with_seed, progress=told),
    )
    return {"rows": rows, "relative": relative, "out": str(out)}


def freeze_run(run: Path, out: Path | None, *, seeds: int, told: Told) -> dict[str, Any]:
    """Return the object of ``neuralos ctl freeze``."""
    out = out or free_folder(RunFolder.open(run).replays, "freeze")
    making = Making(with_seed=with_seed, progress=told)
    return {**freeze(run, out, seeds=seeds, making=making), "out": str(out)}


def shown(work: Callable[[Told], dict[str, Any]]) -> dict[str, Any]:
    """Do the work with one line a run on stderr."""
    console = Console(stderr=True)
    tasks: dict[str, Any] = {}
    with Progress(console=console, disable=not console.is_terminal) as bar:

        def told(name: str, steps: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=None)
            bar.update(tasks[name], completed=steps)

        return work(told)


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table of an ablation or a freeze for people."""
    table = Table("run", "left out", "final", "best", "delta", "lost")
    for row in rows:
        what = "; ".join(row["what"]) or ", ".join(map(str, row["dropped"])) or "nothing"
        cells = [_cell(row, name) for name in ("final", "best", "delta")]
        table.add_row(row["name"], what, *cells, str(len(row["lost"])))
    Console().print(table)


def _cell(row: dict[str, Any], name: str) -> str:
    spread = row[f"{name}_sd"]
    return f"{float(row[name]):.6g}" + (f" ± {float(spread):.2g}" if spread is not None else "")
