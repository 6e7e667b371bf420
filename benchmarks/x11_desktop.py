"""How long do a real desktop's reset, step and state take, and do several keep 15 frames a second?

python benchmarks/x11_desktop.py --json
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass

import click
import numpy as np

from data_collection.desktops.x11 import X11Config, X11Desktop
from data_collection.trace import FPS
from data_collection.users import make_user

SCHEMA = "neuralos.benchmark.x11_desktop/1"


@dataclass(frozen=True)
class Row:
    """One desktop among ``side_by_side``, with a task user at it in real time."""

    profile: str
    side_by_side: int
    seed: int
    reset_s: float
    fps: float
    step_p50_ms: float
    step_p99_ms: float
    state_p50_ms: float
    state_p99_ms: float
    goals: int
    goals_reached: int


def use(profile: str, side_by_side: int, seed: int, seconds: float) -> Row:
    """Let a task user work at a fresh desktop; the reset that counts is not the first one."""
    desktop = X11Desktop(X11Config(profile))
    user = make_user("task")
    try:
        desktop.start()
        start_s = time.perf_counter()
        desktop.reset(seed)
        reset_s = time.perf_counter() - start_s
        user.reset(seed, desktop.width_px, desktop.height_px)
        steps, states = [], []
        due_s = start_s = time.perf_counter()
        for _ in range(round(seconds * FPS)):
            due_s += 1 / FPS
            before_s = time.perf_counter()
            state = desktop.state()
            states.append(time.perf_counter() - before_s)
            events = user.act(state)
            before_s = time.perf_counter()
            desktop.step(events)
            steps.append(time.perf_counter() - before_s)
            time.sleep(max(0.0, due_s - time.perf_counter()))
        fps = len(steps) / (time.perf_counter() - start_s)
    finally:
        desktop.close()
    step_ms, state_ms = 1e3 * np.array(steps), 1e3 * np.array(states)
    outcomes = getattr(user, "outcomes", [])
    return Row(
        profile,
        side_by_side,
        seed,
        round(reset_s, 3),
        round(fps, 2),
        *(round(float(np.percentile(step_ms, p)), 2) for p in (50, 99)),
        *(round(float(np.percentile(state_ms, p)), 2) for p in (50, 99)),
        len(outcomes),
        sum(outcome.reached for outcome in outcomes),
    )


@click.command()
@click.option("--seconds", default=30.0, show_default=True, help="Seconds at each desktop.")
@click.option("--most", default=2, show_default=True, help="Most desktops side by side.")
@click.option("--profile", "profiles", multiple=True, default=("lean", "xfce"), show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def main(seconds: float, most: int, profiles: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Time real desktops at 512x384, alone and side by side, and print one table."""
    rows: list[Row] = []
    heads = ("profile", "beside", "reset s", "fps", "step p50", "p99", "state p50", "p99", "goals")
    print("".join(f"{head:>11}" for head in heads), flush=True)
    for profile in profiles:
        for count in range(1, most + 1):
            cases = [(profile, count, seed + n, seconds) for n in range(count)]
            with multiprocessing.get_context("spawn").Pool(count) as pool:
                for row in pool.starmap(use, cases):
                    rows.append(row)
                    goals = f"{row.goals_reached}/{row.goals}"
                    cells = (*asdict(row).values(),)[3:9]
                    line = (profile, count, *cells, goals)
                    print("".join(f"{cell:>11}" for cell in line), flush=True)
    if as_json:
        machine = {
            "processor": platform.processor() or platform.machine(),
            "os": sys.platform,
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
        }
        report = {
            "schema": SCHEMA,
            "rows": [asdict(row) for row in rows],
            "machine": machine,
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
        }
        print(json.dumps(report))


if __name__ == "__main__":
    main()
