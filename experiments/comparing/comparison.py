"""From run folders to tables, figures and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.comparing import reading
from experiments.comparing.figures import draw_figures
from experiments.comparing.page import cell, write_page


def compare_runs(paths: Sequence[Path], out: Path) -> dict[str, Any]:
    """Compare runs and return the object of ``neuralos compare``.

    Raises:
        RunMissing: a folder holds no run.
        ExtraMissing: matplotlib is not installed.
    """
    runs = reading.read_runs(paths)
    step = reading.equal_steps(runs)
    tables = {
        "outcomes": reading.outcomes(runs),
        "equal_steps": reading.outcomes(runs, step) if step else [],
        "config": reading.config_diff(runs),
        "lineage": reading.lineage(runs),
        "interventions": reading.interventions(runs),
        "evaluations": reading.evaluations(runs),
    }
    out.mkdir(parents=True, exist_ok=True)
    figures = draw_figures(runs, out)
    page = out / "index.html"
    write_page(page, [run.name for run in runs], tables, figures)
    return {"tables": tables, "figures": [str(file) for file in figures], "html": str(page)}


def print_outcomes(tables: Mapping[str, Any]) -> None:
    """Print how the runs ended, and how they stood at equal steps."""
    for name, title in (("outcomes", "at the end"), ("equal_steps", "at equal steps")):
        rows = tables[name]
        if not rows:
            continue
        shown = Table(*rows[0], title=title)
        for row in rows:
            shown.add_row(*(cell(value) for value in row.values()))
        Console().print(shown)
