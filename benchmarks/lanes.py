"""What does a mark cost the lanes, and what do threads give the reading of a batch?

python benchmarks/lanes.py --json

The first table adopts one clip and draws once, as a run with a mark each second does, with
chances computed in numpy and, for comparison, clip after clip in Python. The second reads
batches of clips that are not at hand, from a store of scripted traces, with 0 to 4 threads.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import torch

from data_collection.clock import SystemClock
from data_collection.storage.store import TraceStore
from data_collection.trace import ClipRow
from experiments.base_data import BaseConfig, make_base
from neuralos.data.config import LaneConfig
from neuralos.data.latents import LatentStore
from neuralos.data.mixture import Mixture
from neuralos.data.reading import clips_of, make_reader
from neuralos.data.rows import AdoptedClips
from neuralos.data.sampler import SegmentSampler
from neuralos.data.segments import assemble
from neuralos.models.patch_code import PatchCode
from neuralos.shapes import Screen

SCHEMA = "neuralos.benchmark.lanes/1"
CLIPS = (1_000, 10_000, 100_000)
WORKERS = (0, 1, 2, 4)
LANES = LaneConfig(lanes=8, frames=16, segments=3)
TRACES = BaseConfig(traces=12, clips=10)


@dataclass(frozen=True)
class Row:
    """One case: the median and the 95th percentile of its repeats."""

    case: str
    clips: int
    workers: int
    p50_ms: float
    p95_ms: float


def make_rows(count: int) -> list[ClipRow]:
    """Return rows of traces of ten minutes, live and base by turns."""
    return [
        ClipRow(
            commit=n + 1,
            trace_id=f"trace-{n // 600}",
            seq=n % 600,
            source="live" if n // 600 % 2 else "base",
            file="",
            offset=0,
            length=0,
            body_sha="",
            content_sha="",
            first_frame=15 * (n % 600),
            frames=15,
            weight=1 + n % 8,
            frame_source="real",
            policy="",
            captured_wall_s=0.0,
            acknowledged_wall_s=0.0,
        )
        for n in range(count)
    ]


def python_chances(rows: Sequence[ClipRow], mixture: Mixture) -> np.ndarray[tuple[int], np.dtype]:
    """Compute chances clip after clip, without a cap."""
    later = Counter(row.source for row in rows)
    chances, totals = np.zeros(len(rows)), Counter[str]()
    for index, row in enumerate(rows):
        later[row.source] -= 1
        recency = 2.0 ** (-later[row.source] / mixture.half_life_clips[row.source])
        chances[index] = row.weight * max(2.0**-6, recency)
        totals[row.source] += chances[index]
    for index, row in enumerate(rows):
        chances[index] *= mixture.weights[row.source] / totals[row.source]
    return np.cumsum(chances)


def time_marks(count: int, mixture: Mixture, repeats: int) -> list[float]:
    """Return the seconds of adopting one clip more and drawing once."""
    rows = make_rows(count + repeats)
    clips = AdoptedClips()
    clips.adopt(count, rows[:count])
    sampler = SegmentSampler(LANES, 0, clips, mixture)
    sampler.next()
    seconds = []
    for row in rows[count:]:
        start_s = time.perf_counter()
        clips.adopt(row.commit, [row])
        sampler.can_draw()
        sampler.next()
        seconds.append(time.perf_counter() - start_s)
    return seconds


def time_python(count: int, repeats: int) -> list[float]:
    """Return the seconds of the plain loop over as many clips."""
    rows = make_rows(count)
    return [_timed(lambda: python_chances(rows, Mixture())) for _ in range(repeats)]


def time_reading(root: Path, workers: int, repeats: int) -> list[float]:
    """Return the seconds of putting batches together whose clips are not at hand."""
    store = TraceStore.open(root)
    rows = store.index.rows_after(0, store.index.last_commit)
    store.close()
    clips = AdoptedClips()
    clips.adopt(rows[-1].commit, rows)
    reader = make_reader(clips_of(root), workers)
    code = PatchCode(96, Screen())
    sampler = SegmentSampler(LANES, 0, clips, Mixture(fresh_rows=0))
    seconds = []
    for _ in range(repeats):
        latents = LatentStore(reader, clips, code, cached_clips=0)
        segments = sampler.next()

        def put_together(segments=segments, latents=latents) -> None:
            assemble(segments, LANES.frames, clips, latents)

        seconds.append(_timed(put_together))
    return seconds


def _timed(act: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    act()
    return time.perf_counter() - start_s


def _row(case: str, clips: int, workers: int, seconds: Sequence[float]) -> Row:
    milliseconds = [1e3 * value for value in seconds]
    p95 = float(np.percentile(milliseconds, 95))
    return Row(case, clips, workers, round(statistics.median(milliseconds), 3), round(p95, 3))


@click.command()
@click.option("--repeats", default=30, show_default=True, help="Repeats of each case.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def main(repeats: int, as_json: bool) -> None:
    """Time marks and the reading of batches, and print one table."""
    torch.set_num_threads(1)
    rows: list[Row] = []

    def show(row: Row) -> None:
        rows.append(row)
        print(f"{row.case:<22}{row.clips:>8}{row.workers:>9}{row.p50_ms:>10.3f}{row.p95_ms:>10.3f}")

    print(f"{'case':<22}{'clips':>8}{'workers':>9}{'p50 ms':>10}{'p95 ms':>10}")
    for count in CLIPS:
        show(_row("mark, plain Python", count, 0, time_python(count, repeats)))
        show(_row("mark", count, 0, time_marks(count, Mixture(), repeats)))
        show(_row("mark, trace_cap 0.05", count, 0, time_marks(count, _CAPPED, repeats)))
    with tempfile.TemporaryDirectory() as folder:
        store = TraceStore.open(Path(folder))
        make_base(store, TRACES, 1, SystemClock())
        store.close()
        for workers in WORKERS:
            seconds = time_reading(Path(folder), workers, repeats)
            show(_row("batch of 8 lanes", TRACES.traces * TRACES.clips, workers, seconds))
    if as_json:
        machine = {"processor": platform.processor() or platform.machine(), "os": sys.platform}
        versions = {"python": platform.python_version(), "numpy": np.__version__}
        objects = [asdict(row) for row in rows]
        report = {"schema": SCHEMA, "rows": objects, "machine": machine, "versions": versions}
        print(json.dumps(report))


_CAPPED = Mixture(trace_cap=0.05)

if __name__ == "__main__":
    main()
