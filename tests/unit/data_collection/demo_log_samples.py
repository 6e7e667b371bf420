"""Logs in the demo's format, as a test writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data_collection.imports import ImportReport
from data_collection.imports.demo_logs import DemoLogs
from data_collection.storage.store import TraceStore, read_clip
from data_collection.trace import Clip

RECORDED = Path(__file__).parents[2] / "data" / "demo_logs"
SESSION = "1700000000_1"
START_S = 1700000002.0


def line(after_s: float, **inputs: Any) -> dict[str, Any]:
    """Return an ordinary line, its frame ready ``after_s`` seconds into the session."""
    at_rest: dict[str, Any] = {
        "x": 100,
        "y": 100,
        "is_left_click": False,
        "is_right_click": False,
        "keys_down": [],
        "keys_up": [],
        "wheel_delta_x": 0,
        "wheel_delta_y": 0,
        "is_auto_input": False,
    }
    return {
        "timestamp": START_S + after_s,
        "session_id": SESSION,
        "is_eos": False,
        "is_reset": False,
        "inputs": {**at_rest, **inputs},
    }


def marker(after_s: float, *, end: bool) -> dict[str, Any]:
    return {**line(after_s), "inputs": None, "is_eos": end, "is_reset": not end}


def write_log(folder: Path, *lines: dict[str, Any] | str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"session_{SESSION}.jsonl"
    texts = [one if isinstance(one, str) else json.dumps(one) for one in lines]
    path.write_text("".join(text + "\n" for text in texts))
    return path


def load(source: Path, root: Path) -> tuple[ImportReport, dict[str, list[Clip]]]:
    """Import a log into a store; return the report and the clips of every trace."""
    store = TraceStore.open(root)
    try:
        report = DemoLogs().load(source, store)
        assert store.verify() == []
        clips = {
            trace.id: [read_clip(root, row) for row in store.index.trace_rows(trace.id)]
            for trace in report.traces
        }
    finally:
        store.close()
    return report, clips


def codes(report: ImportReport) -> list[tuple[int, str]]:
    return [(problem.line, problem.code) for problem in report.problems]
