"""How many frames a second does training see, and how much of the machine does it use?

python benchmarks/training.py --device cpu --config tiny --json
python benchmarks/training.py --device cuda --config fast --stage fast --json
python benchmarks/training.py --device cuda --config paper --stage joint --json

Whole steps of the trainer on scripted traces: reading, loss, gradients, update, averages. The
operations of one step are counted by torch's FlopCounterMode (products and convolutions, forwards
and backwards, what is computed again included) and divided by the step's time and by the peak
of the device. Where the table below knows the device, that is its data sheet's; else, and
beside it, what a large product of matrices reaches in the same run at the same precision.
On a CPU all of this is in processor time of the one thread, whatever else runs; on a GPU in
time on the clock.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch
from report import circumstances
from torch.utils.flop_counter import FlopCounterMode

from data_collection.clock import SystemClock
from data_collection.storage.store import TraceStore
from experiments.base_data import BaseConfig, make_base
from experiments.config import load_config
from neuralos.build import build_trainer, make_deterministic
from neuralos.data.reading import clips_of
from neuralos.run_config import NeuralosConfig
from neuralos.training.device import computing_in
from neuralos.training.trainer import Trainer

SCHEMA = "neuralos.benchmark.training/1"
PACKAGES = ("torch", "diffusers", "numpy")
CONFIGS = Path(__file__).parents[1] / "configs"
TRACES = BaseConfig(traces=4, clips=8)
WARM_STEPS = 5
PEAKS: dict[tuple[str, str], float] = {
    ("H100", "bfloat16"): 989e12,
    ("H200", "bfloat16"): 989e12,
    ("A100", "bfloat16"): 312e12,
}
"""Dense operations a second by part of the device's name: NVIDIA's data sheets (SXM)."""


@dataclass(frozen=True)
class Row:
    """Steps of one stage; ``frames_per_s`` are lanes × frames over the median step.

    ``step_ms`` is processor time on a CPU; ``wall_ms`` is by the clock everywhere.
    ``mfu`` divides by ``peak_tflops`` (``peak_source`` says whose), ``of_matmul`` by what a
    product of matrices reached here.
    """

    config: str
    stage: str
    device: str
    precision: str
    parameters: int
    lanes: int
    frames: int
    steps: int
    step_ms: float
    wall_ms: float
    frames_per_s: float
    gflop_step: float
    peak_tflops: float
    peak_source: str
    mfu: float
    of_matmul: float
    memory_mib: float


def read_neuralos(name: str, overrides: tuple[str, ...]) -> NeuralosConfig:
    """Return the configuration of a name in ``configs/``, or of a file."""
    path = Path(name)
    return load_config(path if path.suffix else CONFIGS / f"{name}.toml", overrides, None).neuralos


def begin(config: NeuralosConfig, traces: Path, stage: str | None) -> Trainer:
    """Return a trainer in a stage, with all clips of a store adopted."""
    store = TraceStore.open(traces)
    rows = store.index.rows_after(0, store.index.last_commit)
    store.close()
    trainer = build_trainer(config, clips_of(traces), time.perf_counter)
    trainer.adopt(rows[-1].commit, rows)
    if stage is not None:
        trainer.begin_stage(stage)
    return trainer


def count_flop(trainer: Trainer) -> float:
    """Return the operations of one step."""
    with FlopCounterMode(display=False) as counter:
        trainer.train_step()
    return float(counter.get_total_flops())


def time_steps(trainer: Trainer, steps: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each step: of the device, and by the clock."""
    seconds, wall = [], []
    for _ in range(steps):
        start_s = time.perf_counter()
        seconds.append(_timed(trainer.train_step, trainer.device))
        wall.append(time.perf_counter() - start_s)
    return seconds, wall


def matmul_peak(device: torch.device, precision: str) -> float:
    """Return the operations a second of a large product of matrices."""
    size, repeats = (8192, 30) if device.type == "cuda" else (1024, 12)
    one = torch.randn(size, size, device=device)
    with computing_in(precision, device):
        best = min(_timed(lambda: one @ one, device) for _ in range(repeats))
    return float(2 * size**3 / best)


def known_peak(device: torch.device, precision: str) -> float | None:
    """Return the data sheet's operations a second, where the table knows the device."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    found = [peak for (part, kind), peak in PEAKS.items() if part in name and kind == precision]
    return found[0] if found else None


def memory_mib(device: torch.device) -> float:
    """Return the most memory used so far: the GPU's tensors, or the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def measure(name: str, config: NeuralosConfig, traces: Path, stage: str | None, steps: int) -> Row:
    """Train for some steps and return what that took."""
    trainer = begin(config, traces, stage)
    for _ in range(WARM_STEPS):
        trainer.train_step()
    seconds, wall = time_steps(trainer, steps)
    flop, memory = count_flop(trainer), memory_mib(trainer.device)
    lanes, present = config.lanes, trainer.course.stage
    frames, step_s = present.frames or lanes.frames, statistics.median(seconds)
    reached = matmul_peak(trainer.device, config.training.precision)
    known = known_peak(trainer.device, config.training.precision)
    return Row(
        config=name,
        stage=present.name,
        device=str(trainer.device),
        precision=config.training.precision,
        parameters=sum(p.numel() for p in trainer.simulator.parameters()),
        lanes=lanes.lanes,
        frames=frames,
        steps=steps,
        step_ms=round(1e3 * step_s, 2),
        wall_ms=round(1e3 * statistics.median(wall), 2),
        frames_per_s=round(lanes.lanes * frames / step_s, 1),
        gflop_step=round(flop / 1e9, 3),
        peak_tflops=round((known or reached) / 1e12, 3),
        peak_source="data sheet" if known else "matmul in this run",
        mfu=round(flop / step_s / (known or reached), 4),
        of_matmul=round(flop / step_s / reached, 4),
        memory_mib=round(memory, 1),
    )


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _timed(act: Callable[[], object], device: torch.device) -> float:
    """Return processor seconds on a CPU, seconds by the clock on a GPU."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    _wait(device)
    start_s = clock()
    act()
    _wait(device)
    return clock() - start_s


@click.command()
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--config", "names", multiple=True, default=("tiny",), help="A name, or a file.")
@click.option("--stage", default=None, help="Stage to measure; by default the first.")
@click.option("--steps", default=40, show_default=True, help="Steps that are timed.")
@click.option("--set", "overrides", multiple=True, help="As of `neuralos train`.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def main(
    device: str,
    names: Sequence[str],
    stage: str | None,
    steps: int,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Time steps of the trainer, and print one table."""
    make_deterministic()
    if device == "cuda" and not torch.cuda.is_available():
        raise click.UsageError("there is no GPU here")
    rows = []
    print(
        f"{'config':<12}{'stage':<14}{'step ms':>9}{'frames/s':>10}{'GFLOP':>9}{'MFU':>8}{'MiB':>9}"
    )
    with tempfile.TemporaryDirectory() as folder:
        store = TraceStore.open(Path(folder))
        make_base(store, TRACES, 1, SystemClock())
        store.close()
        for name in names:
            config = read_neuralos(name, (*overrides, f"training.device={device}"))
            row = measure(name, config, Path(folder), stage, steps)
            rows.append(row)
            print(
                f"{Path(row.config).stem:<12}{row.stage:<14}{row.step_ms:>9.1f}{row.frames_per_s:>10.1f}"
                f"{row.gflop_step:>9.2f}{row.mfu:>8.3f}{row.memory_mib:>9.0f}"
            )
    if as_json:
        objects = [asdict(row) for row in rows]
        print(json.dumps({"schema": SCHEMA, "rows": objects, **circumstances(PACKAGES)}))


if __name__ == "__main__":
    main()
