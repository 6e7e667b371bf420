"""Does the carried state matter? The browser's launch with and without it, by its delay.

python benchmarks/carried_state.py --out /tmp/carried --json

For each delay two simulators are trained on the same scripted users, on as many frames and from
the same seed: one that carries a state, and one that begins anew with every frame, in training and
in rollouts (``[simulator] carry = false``, segments of one frame). Each is then rolled out on
held-out launches, judged as the task ``browser`` of ``basic-v1``: the window has to be there in
the time that the desktop needed and a quarter more, and not before its time.

The same command goes on where it was ended, from the last checkpoint of the arm at hand.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from report import circumstances

from data_collection.clock import SystemClock
from data_collection.desktops.scripted import ScriptedConfig
from data_collection.storage.store import TraceStore
from data_collection.trace import ClipRow
from experiments.base_data import BaseConfig, make_base
from experiments.config import load_config
from neuralos.build import build_trainer, make_deterministic
from neuralos.data.reading import clips_of
from neuralos.evaluation.choosing import choose_tasks
from neuralos.evaluation.episode import Stage
from neuralos.evaluation.film import film
from neuralos.evaluation.passage import Passage
from neuralos.evaluation.predictor import Simulated
from neuralos.evaluation.rollouts import batches, roll_out
from neuralos.evaluation.suite import LEAST_SEED
from neuralos.evaluation.tasks import TaskJudge, Verdict
from neuralos.keyed import numpy_generator
from neuralos.models.simulator import Simulator
from neuralos.run_config import NeuralosConfig
from neuralos.training.trainer import Trainer

SCHEMA = "neuralos.benchmark.carried_state/1"
KINDS = ("launch_browser", "launch_browser", "open_home", "open_trash", "close_window")
USERS = {"various:launch_browser": 4.0, "task:launch_browser": 2.0, "opener": 2.0, "task": 1.0}
HELD_OUT = LEAST_SEED + 500_000
_DRAWS = 2000
_SAVE_EVERY_S = 60.0


def arm_config(config: NeuralosConfig, carry: bool) -> NeuralosConfig:
    """Return the configuration of an arm; both see as many frames in a step."""
    if carry:
        return config
    lanes = config.lanes
    alone = replace(lanes, lanes=lanes.lanes * lanes.frames, frames=1, segments=1)
    return replace(config, simulator=replace(config.simulator, carry=False), lanes=alone)


def base_rows(folder: Path, base: BaseConfig, seed: int) -> list[ClipRow]:
    """Make the data of a delay where they are missing, and return their rows."""
    store = TraceStore.open(folder)
    try:
        make_base(store, base, seed, SystemClock())
        return store.index.rows_after(0, base.traces * base.clips)
    finally:
        store.close()


def train_arm(folder: Path, trainer: Trainer, rows: Sequence[ClipRow], steps: int) -> float:
    """Train up to ``steps``, saving now and then; return the CPU-seconds of all its parts."""
    saved = folder / "checkpoint"
    spent_s = 0.0
    if saved.is_dir():
        trainer.load(saved)
        spent_s = json.loads((saved / "spent.json").read_text())["cpu_s"]
    else:
        trainer.adopt(len(rows), rows)
    before_s, noted_s = time.process_time(), time.monotonic()
    while trainer.step < steps:
        trainer.train_step()
        if trainer.step == steps or time.monotonic() - noted_s > _SAVE_EVERY_S:
            save(trainer, saved, spent_s + time.process_time() - before_s)
            noted_s = time.monotonic()
            click.echo(f"{folder.name}: step {trainer.step} of {steps}", err=True)
    return spent_s + time.process_time() - before_s


def save(trainer: Trainer, saved: Path, cpu_s: float) -> None:
    """Put a checkpoint in the place of the one before."""
    partial = saved.with_name(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    trainer.save(partial)
    (partial / "spent.json").write_text(json.dumps({"cpu_s": cpu_s}))
    shutil.rmtree(saved, ignore_errors=True)
    os.replace(partial, saved)


def held_out(launch_frames: int, count: int) -> list[Passage]:
    """Return passages of launches that nobody trained on."""
    stage = Stage(ScriptedConfig(launch_frames=launch_frames), KINDS)
    return [film(one, stage)[0] for one in choose_tasks(count, HELD_OUT, stage, ("browser",))]


def verdicts(simulator: Simulator, passages: Sequence[Passage]) -> list[Verdict]:
    """Roll a simulator out on passages and judge each."""
    found: dict[int, Verdict] = {}
    for batch in batches([passage.generated for passage in passages]):
        chosen = [passages[number] for number in batch]
        drawn = roll_out(Simulated(simulator, 0), chosen)
        for number, passage, frames in zip(batch, chosen, drawn, strict=True):
            found[number] = TaskJudge.of(passage).judge(frames)
    return [found[number] for number in range(len(passages))]


def interval(successes: Sequence[bool]) -> list[float]:
    """Return the 95 % bootstrap interval of a share."""
    values = np.array(successes, dtype=float)
    rng = numpy_generator(0, "bootstrap", "carried_state")
    shares = values[rng.integers(len(values), size=(_DRAWS, len(values)))].mean(1)
    return [round(float(edge), 3) for edge in np.quantile(shares, (0.025, 0.975))]


def run_arm(
    out: Path, launch_frames: int, carry: bool, options: dict[str, Any], passages: list[Passage]
) -> dict[str, Any]:
    """Train and judge one simulator, or return what was found before."""
    folder = out / f"launch-{launch_frames}" / ("carried" if carry else "anew")
    result = folder / "row.json"
    if result.is_file():
        found: dict[str, Any] = json.loads(result.read_text())
        return found
    read = load_config(options["config"], options["overrides"], options["seed"])
    config = arm_config(read.neuralos, carry)
    base = BaseConfig(options["traces"], options["clips"], USERS, launch_frames)
    rows = base_rows(folder.parent / "traces", base, options["seed"])
    trainer = build_trainer(config, clips_of(folder.parent / "traces"), time.perf_counter)
    cpu_s = train_arm(folder, trainer, rows, options["steps"])
    judged = verdicts(trainer.averaged(), passages)
    successes = [one.success for one in judged]
    row = {
        "launch_frames": launch_frames,
        "carry": carry,
        "launch_success": round(sum(successes) / len(successes), 3),
        "ci95": interval(successes),
        "n": len(successes),
        "too_early": sum(one.early for one in judged),
        "window_missing_or_wrong": sum(not one.present for one in judged),
        "steps": options["steps"],
        "frames": options["steps"] * config.lanes.lanes * config.lanes.frames,
        "train_cpu_s": round(cpu_s, 1),
    }
    result.write_text(json.dumps(row))
    return row


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Kept between parts.")
@click.option("--config", type=click.Path(path_type=Path), default=Path("configs/tiny.toml"))
@click.option("--set", "overrides", multiple=True, help="Override a value of the configuration.")
@click.option("--delays", default="5,10,20,40", show_default=True, help="launch_frames of each.")
@click.option("--steps", default=3000, show_default=True, help="Of each arm.")
@click.option("--traces", default=200, show_default=True)
@click.option("--clips", default=20, show_default=True)
@click.option("--launches", default=24, show_default=True, help="Held-out launches of each delay.")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(out: Path, delays: str, launches: int, as_json: bool, **options: Any) -> None:
    """Train, judge and print one table."""
    make_deterministic()
    rows = []
    for launch_frames in map(int, delays.split(",")):
        passages = held_out(launch_frames, launches)
        for carry in (True, False):
            rows.append(run_arm(out, launch_frames, carry, options, passages))
            click.echo(json.dumps(rows[-1]), err=True)
    if as_json:
        report = {"schema": SCHEMA, "rows": rows, **circumstances(["torch", "numpy"])}
        click.echo(json.dumps({**report, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
