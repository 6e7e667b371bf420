"""Is the loss curve of several ranks that of one?

python benchmarks/ranks.py --json

The same steps on the same scripted clips, on one rank and on several processes of this machine
that talk by gloo: how far loss and gradient norm are from those of one rank, whether the same
clips were drawn, and what a step costs each process.
"""

from __future__ import annotations

import json
import multiprocessing
import platform
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import torch
import torch.distributed as dist

from data_collection.clock import SystemClock
from data_collection.storage.store import TraceStore
from experiments.base_data import BaseConfig, make_base
from experiments.config import load_config
from interactive.trainer import DataRow, StepRecord
from neuralos.control import TRACES_FOLDER, create_trainer

SCHEMA = "neuralos.benchmark.ranks/1"
FIRST = 10
ROWS = "rows.json"
TRACES = BaseConfig(traces=4, clips=8)
PATIENCE = timedelta(minutes=30)


@dataclass(frozen=True)
class Row:
    """How so many ranks compare with one; differences are relative, the largest of all steps."""

    ranks: int
    steps: int
    first_loss: float
    last_loss: float
    loss_diff_first: float
    loss_diff: float
    grad_norm_diff: float
    same_clips: bool
    cpu_s_a_step: float


def train(run: Path, steps: int) -> list[tuple[StepRecord, float]]:
    """Return the steps of a fresh trainer, each with the processor time it took here."""
    rows = [DataRow(row["commit"], row) for row in json.loads((run / ROWS).read_text())]
    trainer = create_trainer(run / "config.toml", run)
    trainer.adopt(rows[-1].commit, rows)
    made = []
    for _ in range(steps):
        before_s = time.process_time()
        made.append((trainer.train_step(), time.process_time() - before_s))
    return made


def be_rank(rank: int, size: int, run: Path, steps: int) -> None:
    """Train as one rank; rank 0 writes what it did."""
    torch.set_num_threads(1)
    meeting = f"file://{run / f'meeting-{size}'}"
    dist.init_process_group(
        "gloo", init_method=meeting, rank=rank, world_size=size, timeout=PATIENCE
    )
    made = train(run, steps)
    dist.destroy_process_group()
    if rank == 0:
        (run / f"ranks-{size}.json").write_text(json.dumps([_plain(*one) for one in made]))


def _plain(record: StepRecord, cpu_s: float) -> dict[str, Any]:
    return {
        "loss": record.loss,
        "grad_norm": record.grad_norm,
        "commits": list(record.commits),
        "cpu_s": cpu_s,
    }


def curve(run: Path, ranks: int, steps: int) -> list[dict[str, Any]]:
    """Return the steps that so many ranks make."""
    spawn = multiprocessing.get_context("spawn")
    words = (ranks, run, steps)
    processes = [spawn.Process(target=be_rank, args=(rank, *words)) for rank in range(ranks)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise click.ClickException(f"one of {ranks} ranks ended with {process.exitcode}")
    found: list[dict[str, Any]] = json.loads((run / f"ranks-{ranks}.json").read_text())
    return found


def compare(ranks: int, alone: list[dict[str, Any]], made: list[dict[str, Any]]) -> Row:
    """Set the steps of several ranks beside those of one."""

    def largest(name: str, count: int | None = None) -> float:
        pairs = list(zip(alone, made, strict=True))[:count]
        return max(abs(b[name] - a[name]) / abs(a[name]) for a, b in pairs)

    cpu_s = sorted(one["cpu_s"] for one in made[1:])
    return Row(
        ranks=ranks,
        steps=len(made),
        first_loss=made[0]["loss"],
        last_loss=made[-1]["loss"],
        loss_diff_first=largest("loss", FIRST),
        loss_diff=largest("loss"),
        grad_norm_diff=largest("grad_norm"),
        same_clips=all(a["commits"] == b["commits"] for a, b in zip(alone, made, strict=True)),
        cpu_s_a_step=cpu_s[len(cpu_s) // 2],
    )


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Built-in tiny one without it.")
@click.option("--set", "overrides", multiple=True, help="Override one value; may be repeated.")
@click.option("--steps", default=50, show_default=True)
@click.option("--ranks", "sizes", multiple=True, type=int, default=(2, 4), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(
    config: Path | None,
    overrides: tuple[str, ...],
    steps: int,
    sizes: tuple[int, ...],
    as_json: bool,
) -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory(prefix="ranks-") as folder:
        run = Path(folder)
        (run / "config.toml").write_text(load_config(config, overrides, None).to_toml())
        store = TraceStore.open(run / TRACES_FOLDER)
        make_base(store, TRACES, 0, SystemClock())
        rows = store.index.rows_after(0, store.index.last_commit)
        (run / ROWS).write_text(json.dumps([row.to_json() for row in rows]))
        store.close()
        alone = curve(run, 1, steps)
        table = [compare(size, alone, curve(run, size, steps)) for size in sizes]
    table.insert(0, compare(1, alone, alone))
    if as_json:
        about = {"machine": platform.machine(), "versions": {"torch": torch.__version__}}
        click.echo(json.dumps({"schema": SCHEMA, "rows": list(map(asdict, table)), **about}))
        return
    click.echo("| ranks | steps | first loss | last loss | loss, first 10 | loss | norm | CPU s |")
    click.echo("|---|---|---|---|---|---|---|---|")
    for row in table:
        click.echo(
            f"| {row.ranks} | {row.steps} | {row.first_loss:.4f} | {row.last_loss:.4f} "
            f"| {row.loss_diff_first:.1e} | {row.loss_diff:.1e} | {row.grad_norm_diff:.1e} "
            f"| {row.cpu_s_a_step:.2f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
