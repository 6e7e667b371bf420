"""The figures of an evaluation's page, drawn with matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from data_collection.extras import ExtraMissing
from neuralos.evaluation.evaluation import CEILING, COPY_LAST, MODEL, REPLAY_FLOOR, Evaluation
from neuralos.evaluation.frame_quality import psnr_db
from neuralos.evaluation.scoring import GENERAL, LONG

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 110
_COLOURS = {MODEL: "C0", COPY_LAST: "C7", CEILING: "C2", REPLAY_FLOOR: "C4"}
_TITLES = {
    MODEL: "the simulator",
    COPY_LAST: "copying the last frame",
    CEILING: "its autoencoder alone",
    REPLAY_FLOOR: "another replay of the real desktop",
}
_HIGHEST_DB = 60.0
"""Where a picture is the real one to the bit, its curve stays here."""
_SHARES = ("cursor_within_2px", "transitions")


def draw_figures(evaluation: Evaluation, measures: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """Return the figures as PNG files: shares with their intervals, and error over time.

    Raises:
        ExtraMissing: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ExtraMissing("matplotlib", "report") from None
    found = []
    shares = [name for name in measures if name in _SHARES or name.startswith("task_")]
    if shares:
        figure = Figure(figsize=(9.0, 3.4), dpi=_DPI, layout="constrained")
        _bars(figure.add_subplot(), measures, shares)
        found.append(("shares with 95 % intervals", _png(figure)))
    for group in (GENERAL, LONG):
        if any(name.startswith(group) for name in evaluation.scores[MODEL].curves):
            figure = Figure(figsize=(9.0, 3.6), dpi=_DPI, layout="constrained")
            _curves(figure, evaluation, group)
            found.append((f"error over time, {group} passages", _png(figure)))
    return found


def _bars(axes: Axes, measures: Mapping[str, Any], names: Sequence[str]) -> None:
    places = np.arange(len(names))
    for offset, predictor in ((-0.27, COPY_LAST), (0.0, MODEL), (0.27, CEILING)):
        values = [measures[name].get(predictor, np.nan) for name in names]
        axes.bar(places + offset, values, 0.25, color=_COLOURS[predictor], label=_TITLES[predictor])
    for place, name in zip(places, names, strict=True):
        low, high = measures[name]["ci95"]
        axes.plot([place, place], [low, high], color="black", lw=1.4)
        majority = measures[name]["majority"]
        if majority is not None:
            axes.plot([place - 0.4, place + 0.4], [majority] * 2, "--", color="C3", lw=1.2)
            axes.text(place + 0.4, majority, " majority", color="C3", fontsize=7, va="center")
    axes.set_xticks(places, [name.removeprefix("task_").replace("_", " ") for name in names])
    axes.set_ylim(0, 1.02)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=3, frameon=False)


def _curves(figure: Figure, evaluation: Evaluation, group: str) -> None:
    """Draw PSNR at each step, over changed pixels and the whole frame."""
    panels: tuple[Axes, Axes] = figure.subplots(1, 2)
    for axes, kind in zip(panels, ("changed_curves", "curves"), strict=True):
        for predictor, title in _TITLES.items():
            scores = evaluation.scores.get(predictor)
            curves = [
                curve
                for name, curve in (getattr(scores, kind) if scores else {}).items()
                if name.startswith(group)
            ]
            if curves:
                level = np.minimum(psnr_db(_pooled(curves)), _HIGHEST_DB)
                axes.plot(
                    np.arange(1, len(level) + 1), level, color=_COLOURS[predictor], label=title
                )
        axes.set_xlabel("frames after the last known one")
        axes.set_ylabel("PSNR, dB")
        axes.set_title("changed pixels" if kind == "changed_curves" else "whole frame", fontsize=10)
        axes.grid(alpha=0.3)
    panels[1].legend(fontsize=8)


def _pooled(curves: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Return the mean squared error at each step over passages that know one."""
    table = np.stack(curves)
    known = ~np.isnan(table)
    sums = np.where(known, table, 0.0).sum(0)
    counts = known.sum(0)
    return np.where(counts, sums / np.maximum(counts, 1), np.nan)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    # No date and no version in the file: the same evaluation gives the same bytes.
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
