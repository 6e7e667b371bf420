"""What happens in base data, how fast they are made, and how large they are.

python benchmarks/base_data.py --json --config configs/base.toml

Counts events per 1,000 frames of the recipe of a configuration, and of the users that every
run had before there were recipes, by replaying the traces and reading the desktop's state.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from report import circumstances

from data_collection.clock import SystemClock
from data_collection.desktops.scripted import ScriptedConfig, ScriptedDesktop
from data_collection.storage.reading import read_clip
from data_collection.storage.store import TraceStore
from experiments.base_data import BaseConfig, make_base
from experiments.config import load_config

SCHEMA = "neuralos.benchmark.base_data/1"


def count(before: Mapping[str, Any], now: Mapping[str, Any], events: Counter[str]) -> None:
    """Count what a tick brought."""
    old = {window["id"] for window in before["windows"]}
    new = {window["id"]: window["app"] for window in now["windows"]}
    for identity in new.keys() - old:
        events[f"opens {new[identity]}"] += 1
    events["closes a window"] += len(old - new.keys())
    for what, key in (
        ("launches", "launching"),
        ("drags", "dragging"),
        ("menus", "menu"),
        ("names asked for", "naming"),
    ):
        events[what] += bool(now[key]) and not before[key]
    events["folders"] += len(now["folders"]) > len(before["folders"])
    for what, key, part in (
        ("characters typed", "terminal", "typed"),
        ("pages", "browser", "address"),
    ):
        one, other = before[key], now[key]
        events[what] += bool(one and other and one[part] != other[part])


def measure(name: str, config: BaseConfig, seed: int) -> dict[str, Any]:
    """Make base data and say what is in them."""
    with tempfile.TemporaryDirectory() as folder:
        store = TraceStore.open(Path(folder))
        started = time.process_time()
        make_base(store, config, seed, SystemClock())
        made_s = time.process_time() - started
        rows = store.index.rows_after(0, config.traces * config.clips)
        headers = {row.trace_id: store.index.trace(row.trace_id) for row in rows}
        store.close()
        desktop = ScriptedDesktop(ScriptedConfig(launch_frames=config.launch_frames))
        events: Counter[str] = Counter()
        before: dict[str, Any] = {}
        for row in sorted(rows, key=lambda row: (row.trace_id, row.seq)):
            found = headers[row.trace_id]
            if row.seq == 0 and found is not None:
                desktop.reset(found[0].seed)
                before = desktop.state()
            for group in read_clip(Path(folder), row).events:
                desktop.step(group)
                count(before, desktop.state(), events)
                before = desktop.state()
    frames = sum(row.frames for row in rows)
    return {
        "recipe": name,
        "traces": config.traces,
        "frames": frames,
        "frames_per_cpu_s": round(frames / made_s),
        "bytes_per_clip": round(sum(row.length for row in rows) / len(rows)),
        "clips_with_a_transition": round(sum(row.weight >= 5 for row in rows) / len(rows), 3),
        "per_1000_frames": {
            what: round(1000 * number / frames, 2) for what, number in sorted(events.items())
        },
    }


@click.command()
@click.option("--config", type=click.Path(path_type=Path), default=Path("configs/base.toml"))
@click.option("--traces", default=60, show_default=True, help="How many of each recipe.")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(config: Path, traces: int, seed: int, as_json: bool) -> None:
    """Print one table."""
    recipe = replace(load_config(config, (), None).base, traces=traces)
    plain = BaseConfig(traces=traces, clips=recipe.clips)
    rows = [measure(config.name, recipe, seed), measure("default", plain, seed)]
    for row in rows:
        click.echo(json.dumps(row, indent=1), err=True)
    if as_json:
        report = {"schema": SCHEMA, "rows": rows, **circumstances(["numpy", "zstandard"])}
        click.echo(json.dumps(report))


if __name__ == "__main__":
    main()
