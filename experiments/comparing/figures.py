"""The figures of a comparison, drawn with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_collection.extras import ExtraMissing
from experiments.comparing.reading import ComparedRun, evaluations
from interactive.record.lineage import line_of, rows_on
from interactive.record.metrics import MetricsRow
from interactive.replaying.altered import name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE_IN = (9.0, 4.6)
DPI = 110
SMOOTH_STEPS = 20
MAX_NAMED = 12
"""Interventions named in a figure; more are marked and stand in the table."""


def draw_figures(runs: Sequence[ComparedRun], out: Path) -> list[Path]:
    """Draw the loss, the learning rate, the branches, and the evaluations if there are any.

    Returns:
        The files, one PNG a figure.

    Raises:
        ExtraMissing: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ExtraMissing("matplotlib", "report") from None
    drawings: dict[str, Callable[[Any], None]] = {
        "loss": lambda figure: _loss(figure, runs),
        "lr": lambda figure: _lr(figure, runs),
        "branches": lambda figure: _branches(figure, runs),
    }
    table = evaluations(runs)
    if table:
        drawings["evaluations"] = lambda figure: _evaluations(figure, runs, table)
    files = []
    for name, draw in drawings.items():
        lines = sum(len(run.state.branches) for run in runs)
        size = (SIZE_IN[0], 1.2 + 0.35 * lines) if name == "branches" else SIZE_IN
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        draw(figure)
        files.append(out / f"{name}.png")
        # No date and no version in the file: the same runs give the same bytes.
        figure.savefig(files[-1], metadata={"Software": None})
    return files


def _loss(figure: Figure, runs: Sequence[ComparedRun]) -> None:
    axes = figure.add_subplot()
    for number, run in enumerate(runs):
        color = f"C{number % 10}"
        for branch in run.state.branches:
            # Smoothed along its own line, and shown where that left the one that survived.
            rows = rows_on(run.rows, line_of(run.state, branch))
            own = [n for n, row in enumerate(rows) if not run.has_on_line(row)]
            if own:
                _curve(axes, rows, color, alpha=0.4, style="--", first=own[0])
        _curve(axes, run.line, color, alpha=0.18, width=0)
        _curve(axes, run.line, color, label=run.name)
        _mark(axes, run, color)
    _finish(axes, f"loss (mean of {SMOOTH_STEPS} steps; dashed: left behind)", runs)
    losses = [row.loss for run in runs for row in run.line if math.isfinite(row.loss)]
    if losses and min(losses) > 0 and max(losses) > 20 * float(np.median(losses)):
        axes.set_yscale("log")


def _lr(figure: Figure, runs: Sequence[ComparedRun]) -> None:
    axes = figure.add_subplot()
    for number, run in enumerate(runs):
        steps, values = [row.step for row in run.line], [row.lr for row in run.line]
        axes.step(steps, values, where="mid", color=f"C{number % 10}", label=run.name)
    if any(row.lr > 0 for run in runs for row in run.line):
        axes.set_yscale("log")
    _finish(axes, "learning rate, read from the optimizer", runs)


def _branches(figure: Figure, runs: Sequence[ComparedRun]) -> None:
    """Draw a line a branch, hung on the checkpoint that it continues from."""
    axes = figure.add_subplot()
    height, ticks = 0, []
    for number, run in enumerate(runs):
        color, place = f"C{number % 10}", {}
        for branch in run.state.branches.values():
            rows = run.branch_rows(branch.name)
            place[branch.name] = height
            ticks.append(f"{run.name}: {branch.name}")
            last = rows[-1].step if rows else branch.step
            axes.plot([branch.step, last], [height, height], color=color, lw=1.2)
            kept = [row.step for row in rows if run.has_on_line(row)]
            if kept:
                axes.plot([branch.step, kept[-1]], [height, height], color=color, lw=4.0)
            fact = run.state.checkpoints.get(branch.checkpoint or "")
            if fact is not None:
                ends = [place.get(fact.branch, height), height]
                axes.plot([branch.step, branch.step], ends, color=color, lw=0.8, ls=":")
            marked = [entry.step for entry in run.marked if entry.branch == branch.name]
            axes.plot(marked, [height] * len(marked), "v", color=color, ms=6)
            height += 1
    axes.set_yticks(range(height), ticks)
    axes.set_ylim(-0.6, height - 0.4)
    axes.invert_yaxis()
    axes.set_xlabel("step")
    axes.set_title(
        "branches (thick: the line that survived; triangles: interventions)", fontsize=10
    )


def _evaluations(
    figure: Figure, runs: Sequence[ComparedRun], table: Sequence[dict[str, Any]]
) -> None:
    names = list(dict.fromkeys(row["measure"] for row in table))[:4]
    for place, measure in enumerate(names, start=1):
        axes = figure.add_subplot(1, len(names), place)
        for number, run in enumerate(runs):
            points = [
                (row["step"], float(row["value"]))
                for row in table
                if row["run"] == run.name and row["measure"] == measure
            ]
            if points:
                axes.plot(*zip(*points, strict=True), "o-", ms=3, color=f"C{number % 10}")
        axes.set_title(measure, fontsize=9)
        axes.set_xlabel("step")


def _curve(
    axes: Axes,
    rows: Sequence[MetricsRow],
    color: str,
    *,
    alpha: float = 1.0,
    style: str = "-",
    width: int = SMOOTH_STEPS,
    first: int = 0,
    label: str | None = None,
) -> None:
    values = np.array([row.loss for row in rows])
    # At a NaN the curve is broken: it is seen, and not bridged.
    shown = np.where(np.isfinite(values), values, np.nan)
    if width:
        shown = np.array([shown[max(0, n - width + 1) : n + 1].mean() for n in range(len(shown))])
    steps = [row.step for row in rows[first:]]
    axes.plot(steps, shown[first:], color=color, alpha=alpha, ls=style, label=label)


def _mark(axes: Axes, run: ComparedRun, color: str) -> None:
    """Mark the interventions by their steps, and name the first ones; pale: left behind."""
    for number, entry in enumerate(run.marked):
        alpha = 0.8 if (entry.branch, entry.step) in run.places else 0.35
        axes.axvline(entry.step, color=color, lw=0.8, alpha=alpha, ls=":")
        if number < MAX_NAMED:
            axes.annotate(
                f"{entry.seq} {name_of(entry).removeprefix('update_')}",
                (entry.step, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(2, -4),
                textcoords="offset points",
                rotation=90,
                fontsize=6,
                color=color,
                alpha=alpha,
                va="top",
            )


def _finish(axes: Axes, title: str, runs: Sequence[ComparedRun]) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("step")
    axes.grid(alpha=0.2)
    if any(run.line for run in runs):
        axes.legend(fontsize=8, loc="best")
