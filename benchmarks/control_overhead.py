"""What does the control plane cost a training step?

python benchmarks/control_overhead.py --json

Three questions, each one run with interleaved blocks. What does a boundary cost to which no
command came, and the record of a step? What does a step of some tens of milliseconds cost
with a server, a reader of the event stream and three polling clients, all processes of
their own, beside the same step in a bare loop, for which those processes are stopped? What
does a boundary of two ranks cost, on rank 0 and on the other?
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import click
import numpy as np
import torch
import torch.distributed as dist
from control_clients import onlookers
from report import circumstances
from torch import nn

from experiments.address import free_port
from interactive.integrations.loop import steer
from interactive.integrations.parts import TorchParts
from interactive.record.run_folder import RunFolder, RunInfo
from interactive.server.tokens import create_tokens
from interactive.steering.boundary import Cadence
from interactive.trainer import StepRecord

SCHEMA = "neuralos.benchmark.control_overhead/1"
BOUNDARY_US, SERVED_RATIO, RANKS_US = 5.0, 1.01, 50.0
"""What each is not to exceed, in the median."""


@dataclass(frozen=True)
class Size:
    """How much is measured; a step of the served run is to take some tens of milliseconds."""

    boundaries: int
    rounds: int
    steps: int
    width: int
    batch: int
    rank_steps: int
    rank_width: int


FULL = Size(20_000, 12, 60, width=768, batch=256, rank_steps=1500, rank_width=128)
QUICK = Size(200, 2, 5, width=64, batch=16, rank_steps=60, rank_width=32)


@dataclass(frozen=True)
class Row:
    """One quantity: its median and 95th percentile, over so many samples."""

    case: str
    quantity: str
    unit: str
    p50: float
    p95: float
    samples: int
    target: float | None = None


class Toy(TorchParts):
    """A few layers; how wide they are decides how long a step takes."""

    def __init__(self, width: int, batch: int) -> None:
        generator = torch.Generator().manual_seed(1)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            model = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))
        super().__init__(model, torch.optim.SGD(model.parameters(), lr=1e-3), digest_every=0)
        self._x = torch.randn(batch, width, generator=generator)

    def train_step(self) -> StepRecord:
        self.optimizer.zero_grad()
        loss = self.model(self._x).square().mean()
        loss.backward()
        if dist.is_initialized():
            for parameter in self.model.parameters():
                dist.all_reduce(parameter.grad)
        norm = self.clip()
        self.optimizer.step()
        return self.made(loss, norm)


def new_run(path: Path) -> RunFolder:
    info = RunInfo(entry_point="", seed=1, code_version="benchmark")
    folder = RunFolder.create(path, config="", info=info)
    create_tokens(folder)
    return folder


def time_boundary(root: Path, size: Size) -> list[Row]:
    """Return what crossing and recording cost while no command comes."""
    trainer, folder = Toy(4, 1), new_run(root / "boundary")
    crossing, recording, empty = [], [], []
    with steer(folder.path, trainer) as boundary:
        boundary.cross()
        boundary.record(trainer.train_step())
        for _ in range(size.boundaries):
            before = time.perf_counter_ns()
            began = time.perf_counter_ns()
            boundary.cross()
            crossed = time.perf_counter_ns()
            made = trainer.train_step()
            ready = time.perf_counter_ns()
            boundary.record(made)
            recorded = time.perf_counter_ns()
            empty.append((began - before) / 1e3)
            crossing.append((crossed - began) / 1e3)
            recording.append((recorded - ready) / 1e3)
    return [
        row("boundary", "cross, no command", "us", crossing, BOUNDARY_US),
        row("boundary", "record, one row written", "us", recording),
        row("boundary", "two readings of the clock", "us", empty),
    ]


def time_served(root: Path, size: Size) -> list[Row]:
    """Return steps bare, steered and served, and their ratios within each round of blocks."""
    folder = new_run(root / "served")
    bare, steered = Toy(size.width, size.batch), Toy(size.width, size.batch)
    times: dict[str, list[float]] = {"bare": [], "steered": [], "served": []}
    ratios: dict[str, list[float]] = {"steered": [], "served": []}
    with steer(folder.path, steered) as boundary:

        def steered_step() -> None:
            boundary.cross()
            boundary.record(steered.train_step())

        steered_step()
        with onlookers(folder) as around:
            cases = list(times)
            for number in range(size.rounds):
                middle = {}
                for case in cases[number % 3 :] + cases[: number % 3]:
                    around.run(case == "served")
                    step: Callable[[], object] = bare.train_step if case == "bare" else steered_step
                    step()
                    found = [_timed_ms(step) for _ in range(size.steps)]
                    times[case] += found
                    middle[case] = statistics.median(found)
                for case, list_ in ratios.items():
                    list_.append(middle[case] / middle["bare"])
            around.run(True)
            answers = around.answers()
    return [
        *(row("served", f"step, {case}", "ms", found) for case, found in times.items()),
        row("served", "steered / bare, by round", "", ratios["steered"]),
        row("served", "served / bare, by round", "", ratios["served"], SERVED_RATIO),
        row("served", "events read", "", answers[:1]),
        row("served", "answers to three clients", "", [sum(answers[1:])]),
    ]


def time_ranks(root: Path, size: Size) -> list[Row]:
    """Return what a boundary costs each of two ranks while no command comes."""
    folder = new_run(root / "ranks")
    port = str(free_port("127.0.0.1", 0, None))
    env = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    words = [sys.executable, __file__, "--rank-of", str(folder.path)]
    words += ["--quick"] if size is QUICK else []
    started = [
        subprocess.Popen(words, env={**env, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    rows = []
    for rank, process in enumerate(started):
        said, _ = process.communicate(timeout=600)
        if process.returncode:
            raise click.ClickException(f"rank {rank} ended with status {process.returncode}")
        found = json.loads(said.splitlines()[-1])
        rows.append(row("two ranks", f"cross on rank {rank}", "us", found["us"], RANKS_US))
        rows.append(row("two ranks", f"step on rank {rank}", "ms", found["ms"]))
    return rows


def be_a_rank(run: Path, size: Size) -> None:
    """Make steps as one of two ranks, and print what each took."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    trainer = Toy(size.rank_width, 16)
    crossing, steps = [], []
    with steer(run, trainer, cadence=Cadence(end_step=size.rank_steps)) as boundary:
        while True:
            began_s = time.perf_counter()
            if not boundary.cross():
                break
            crossing.append(1e6 * (time.perf_counter() - began_s))
            steps.append(_timed_ms(lambda: boundary.record(trainer.train_step())))
    dist.destroy_process_group()
    print(json.dumps({"us": crossing[20:], "ms": steps[20:]}))


def row(
    case: str, quantity: str, unit: str, values: Sequence[float], target: float | None = None
) -> Row:
    """Return median and 95th percentile of values."""
    p50, p95 = statistics.median(values), float(np.percentile(values, 95))
    return Row(case, quantity, unit, round(p50, 4), round(p95, 4), len(values), target)


def _timed_ms(act: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    act()
    return 1e3 * (time.perf_counter() - began_s)


@click.command()
@click.option("--quick", is_flag=True, help="Few samples: that it runs, not how fast.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
@click.option("--rank-of", type=click.Path(path_type=Path), hidden=True)
def main(quick: bool, as_json: bool, rank_of: Path | None) -> None:
    """Measure the three costs, and print one table."""
    torch.set_num_threads(1)
    size = QUICK if quick else FULL
    if rank_of is not None:
        be_a_rank(rank_of, size)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for measure in (time_boundary, time_served, time_ranks):
            rows += measure(root, size)
    print(f"{'case':<12}{'quantity':<28}{'unit':<6}{'p50':>10}{'p95':>10}{'n':>8}{'target':>8}")
    for one in rows:
        target = "" if one.target is None else f"{one.target:g}"
        print(
            f"{one.case:<12}{one.quantity:<28}{one.unit:<6}{one.p50:>10.3f}{one.p95:>10.3f}"
            f"{one.samples:>8}{target:>8}"
        )
    if as_json:
        about = circumstances(["torch", "fastapi", "uvicorn", "httpx", "pydantic"])
        print(json.dumps({"schema": SCHEMA, "rows": [asdict(one) for one in rows], **about}))


if __name__ == "__main__":
    main()
