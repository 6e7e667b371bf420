"""An evaluation as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from experiments.evaluating.figures import draw_figures
from experiments.evaluating.gallery import Gallery, Strip
from neuralos.evaluation.evaluation import CEILING, COPY_LAST, FROZEN_FIRST, MODEL, Evaluation
from neuralos.evaluation.tasks import TASKS

_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Evaluation</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 88rem; margin: 2rem auto; padding: 0 1rem; }
img { max-width: 100%; } img.strip { image-rendering: pixelated; display: block; }
figure { margin: .6rem 0 1.2rem; } figcaption { font-size: 13px; color: #555; }
.row { display: flex; gap: 1rem; flex-wrap: wrap; }
.row img { width: 24rem; image-rendering: pixelated; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-size: 13px; }
td, th { border-bottom: 1px solid #ddd; padding: .2rem .9rem .2rem 0; text-align: right; }
td:first-child, th:first-child { text-align: left; } td.better { color: #176b1c; font-weight: 600; }
td.worse { color: #a11; } .dim { color: #777; }
</style>
"""
_COLUMNS = {
    MODEL: "simulator",
    COPY_LAST: "copy last",
    FROZEN_FIRST: "frozen first",
    CEILING: "ceiling",
    "replay_floor": "replay floor",
    "majority": "majority",
}
_LOWER_IS_BETTER = ("cursor_error_px", "tasks_early")


def write_page(
    path: Path,
    title: str,
    evaluation: Evaluation,
    values: Mapping[str, Any],
    gallery: Gallery,
) -> None:
    """Write the page; pictures stand inside it, and nothing in it is code.

    Raises:
        ExtraMissing: matplotlib is not installed.
    """
    speed = values["speed_ms"]
    parts = [
        _HEAD,
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(evaluation.name)}. Green: the simulator's 95 % interval lies above that of "
        "copying the last frame; red: below. Distances in pixels of a 128×96 screen. A frame "
        f"alone takes {speed['p50']:.1f} ms of CPU time (99 %: {speed['p99']:.1f} ms).</p>",
    ]
    parts += [
        f'<figure><img alt="{escape(name)}" src="{_inline(png)}">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for name, png in draw_figures(evaluation, values["measures"])
    ]
    measures = values["measures"]
    whole = {name: one for name, one in measures.items() if not _is_at_step(name)}
    steps = {name: one for name, one in measures.items() if _is_at_step(name)}
    parts += ["<h2>Measures</h2>", _measures(whole)]
    parts += _tasks(gallery)
    parts.append("<h2>Passages</h2>")
    parts += [_figure(strip) for _, strip in sorted(gallery.passages.items())]
    parts.append("<h2>Where on the screen</h2>")
    parts.append(_row(gallery.heat.pictures()))
    parts += ["<h2>Transitions by kind</h2>", _kinds(values["transitions"])]
    parts += ["<h2>At single steps of the rollout</h2>", _measures(steps)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts) + "\n", "utf-8")


def _measures(measures: Mapping[str, Any]) -> str:
    names = [name for name in _COLUMNS if any(m.get(name) is not None for m in measures.values())]
    head = ["measure", *(_COLUMNS[name] for name in names), "95 %", "n"]
    body = []
    for measure, values in measures.items():
        low, high = values["ci95"]
        cells = [f"<td>{escape(measure)}</td>"]
        for name in names:
            kind = f' class="{_verdict(measure, values)}"' if name == MODEL else ""
            cells.append(f"<td{kind}>{number(values.get(name))}</td>")
        cells.append(f'<td class="dim">{number(low)} to {number(high)}</td>')
        cells.append(f'<td class="dim">{values["n"]}</td>')
        body.append("".join(cells))
    return _table(head, body)


def _is_at_step(measure: str) -> bool:
    return measure.startswith(("psnr", "ssim")) and measure.partition("@")[2].isdigit()


def _verdict(measure: str, values: Mapping[str, Any]) -> str:
    """Say whether the simulator's interval lies apart from that of copying, and on which side."""
    if COPY_LAST not in values["baseline_ci95"]:
        return ""
    low, high = values["ci95"]
    low_copied, high_copied = values["baseline_ci95"][COPY_LAST]
    better, worse = low > high_copied, high < low_copied
    if measure.startswith(_LOWER_IS_BETTER):
        better, worse = worse, better
    return "better" if better else "worse" if worse else ""


def _kinds(kinds: Mapping[str, Mapping[str, Any]]) -> str:
    names = [MODEL, COPY_LAST, CEILING]
    body = [
        f"<td>{escape(kind.replace('_', ' '))}</td>"
        + "".join(f"<td>{number(row.get(name))}</td>" for name in names)
        + f'<td class="dim">{row["n"]}</td>'
        for kind, row in sorted(kinds.items(), key=lambda item: -int(item[1]["n"]))
    ]
    return _table(["kind", *(_COLUMNS[name] for name in names), "n"], body)


def _tasks(gallery: Gallery) -> list[str]:
    parts = []
    for task in TASKS:
        strips = [one[task] for one in (gallery.successes, gallery.failures) if task in one]
        if strips:
            parts.append(f"<h2>Task: {task}</h2>")
            parts += [_figure(strip) for strip in strips]
    return parts


def _figure(strip: Strip) -> str:
    return (
        f'<figure><img class="strip" alt="{escape(strip.id)}" src="{_inline(_png(strip.picture))}">'
        f"<figcaption>{escape(strip.caption)}</figcaption></figure>"
    )


def _row(pictures: Iterable[tuple[str, Image.Image]]) -> str:
    figures = "".join(
        f'<figure><img alt="{escape(name)}" src="{_inline(_png(picture))}">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for name, picture in pictures
    )
    return f'<div class="row">{figures}</div>'


def _table(head: Sequence[str], body: Sequence[str]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{row}</tr>' for row in body)}</table>"


def number(value: float | None) -> str:
    """Return a number as a reader wants it; nothing where there is none."""
    if value is None:
        return ""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="png", optimize=True)
    return file.getvalue()
