"""A comparison as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Comparison</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
img { max-width: 100%; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-size: 13px; }
td, th { border-bottom: 1px solid #ddd; padding: .2rem .7rem .2rem 0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
</style>
"""
_TITLES = {
    "outcomes": "At the end of each run",
    "equal_steps": "At equal steps",
    "config": "Configuration, where it differs",
    "lineage": "Branches",
    "interventions": "Interventions",
    "evaluations": "Evaluations",
}


def write_page(
    path: Path, names: Sequence[str], tables: Mapping[str, Any], figures: Sequence[Path]
) -> None:
    """Write the page; pictures stand inside it, and nothing in it is code."""
    parts = [_HEAD, f"<h1>{escape(' · '.join(names))}</h1>"]
    for figure in figures:
        picture = base64.b64encode(figure.read_bytes()).decode()
        parts.append(f'<img alt="{escape(figure.stem)}" src="data:image/png;base64,{picture}">')
    for name, title in _TITLES.items():
        rows = tables[name]
        parts.append(f"<h2>{escape(title)}</h2>")
        parts.append(_table(rows) if rows else "<p>none</p>")
    path.write_text("\n".join(parts) + "\n", "utf-8")


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell(row.get(name)))}</td>" for name in names) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def cell(value: Any) -> str:
    """Return a value as a reader wants it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
