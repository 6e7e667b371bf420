"""What does a trace cost on disk, to write, to read a window of, and what survives a crash?

python benchmarks/trace_store.py --store scripted-traces --store x11-traces --json

The same recorded traces go through every format in one run, on one core. Without ``--store``
a few traces of a scripted user are made first.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import click
import numpy as np
from report import circumstances
from rich.console import Console
from rich.progress import Progress
from trace_formats import FORMATS, Format, Frames, Reader

from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.recording.collect import collect, synthetic_header
from data_collection.storage.codec import encode_clip
from data_collection.storage.reading import read_clip
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.trace import FPS, ClipRow, ClipState, TraceHeader
from data_collection.users import make_user

SCHEMA = "neuralos.benchmark.trace_store/1"
WINDOW = 32
KILLED_AFTER_CLIPS = 5
PACKAGES = ("numpy", "zstandard", "mcap", "pillow", "av")
SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class Row:
    """One format on one store.

    ``write_fps`` and the windows' times are by the clock; those named ``core`` by processor
    time, which other work on the machine does not change.
    """

    store: str
    format: str
    lossless: bool
    traces: int
    frames: int
    write_fps: float
    core_fps: float
    bytes_per_frame: float
    mb_per_hour: float
    window_p50_ms: float
    window_p95_ms: float
    window_core_p50_ms: float
    handed_frames: int
    surviving_frames: int


@dataclass(frozen=True)
class Recorded:
    """The traces of a store: their headers and clips' rows."""

    root: Path
    traces: list[tuple[TraceHeader, list[ClipRow]]]

    @classmethod
    def of(cls, root: Path) -> Recorded:
        """List what stands in a store."""
        store = TraceStore.open(root)
        try:
            summaries = [one for one in store.index.traces() if one.clips]
            rows = [store.index.trace_rows(one.header.trace_id) for one in summaries]
        finally:
            store.close()
        standing = [[row for row in some if row.state is ClipState.COMMITTED] for some in rows]
        headers = [summary.header for summary in summaries]
        return cls(root, list(zip(headers, standing, strict=True)))


def make_traces(root: Path, traces: int, seconds: int) -> None:
    """Let scripted task users work at the scripted desktop."""
    store = TraceStore.open(root)
    for seed in range(1, traces + 1):
        desktop = ScriptedDesktop()
        header = synthetic_header(f"t-{seed}", desktop, seed=seed, source="base", policy="task")
        store.open_trace(header)
        for clip in collect(desktop, make_user("task"), header, seconds):
            store.append(header, EncodedClip.of(clip, encode_clip(clip)), 0.0)
    store.close()


def measure(kind: type[Format], recorded: Recorded, windows: int, name: str) -> Row:
    """Write all traces of a store in one format, read windows of them, kill a writer."""
    with tempfile.TemporaryDirectory() as folder:
        written: list[tuple[Format, int]] = []
        wall_s = core_s = 0.0
        for header, rows in recorded.traces:
            one = kind(Path(folder), header)
            start = time.perf_counter(), time.process_time()
            one.begin()
            wall_s, core_s = _since(start, wall_s, core_s)
            for row in rows:
                clip = read_clip(recorded.root, row)
                start = time.perf_counter(), time.process_time()
                one.add(clip)
                wall_s, core_s = _since(start, wall_s, core_s)
            start = time.perf_counter(), time.process_time()
            one.end()
            wall_s, core_s = _since(start, wall_s, core_s)
            written.append((one, sum(row.frames for row in rows)))
        frames = sum(count for _, count in written)
        bytes_per_frame = sum(one.size_bytes() for one, _ in written) / frames
        times_ms, core_ms = zip(*window_times_ms(recorded, written, windows), strict=True)
    handed, surviving = killed_writer(kind, recorded)
    return Row(
        store=name,
        format=kind.name,
        lossless=kind.lossless,
        traces=len(written),
        frames=frames,
        write_fps=round(frames / wall_s),
        core_fps=round(frames / core_s),
        bytes_per_frame=round(bytes_per_frame, 1),
        mb_per_hour=round(bytes_per_frame * FPS * SECONDS_AN_HOUR / 1e6, 1),
        window_p50_ms=round(statistics.median(times_ms), 2),
        window_p95_ms=round(float(np.quantile(times_ms, 0.95)), 2),
        window_core_p50_ms=round(statistics.median(core_ms), 2),
        handed_frames=handed,
        surviving_frames=surviving,
    )


def _since(start: tuple[float, float], wall_s: float, core_s: float) -> tuple[float, float]:
    return wall_s + time.perf_counter() - start[0], core_s + time.process_time() - start[1]


def window_times_ms(
    recorded: Recorded, written: list[tuple[Format, int]], windows: int
) -> Iterator[tuple[float, float]]:
    """Read random windows, the same in every format; yield each one's milliseconds.

    By the clock, and of processor time.

    The first few are compared with what was recorded, where the format is lossless.
    """
    rng = np.random.default_rng(1)
    readers: dict[int, Reader] = {}
    for number in range(windows):
        trace = int(rng.integers(len(written)))
        one, frames = written[trace]
        first = int(rng.integers(max(1, frames - WINDOW + 1)))
        count = min(WINDOW, frames - first)
        read = readers.setdefault(trace, one.reader())
        start = time.perf_counter(), time.process_time()
        found = read(first, count)
        wall_s, core_s = _since(start, 0.0, 0.0)
        yield wall_s * 1e3, core_s * 1e3
        if number < 5 and one.lossless:
            np.testing.assert_array_equal(found, _original(recorded, trace, first, count))


def _original(recorded: Recorded, trace: int, first: int, count: int) -> Frames:
    frames = [read_clip(recorded.root, row).frames for row in recorded.traces[trace][1]]
    return np.concatenate(frames)[first : first + count]


def killed_writer(kind: type[Format], recorded: Recorded) -> tuple[int, int]:
    """Kill a process in mid-writing; return the frames it had been handed and those left."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--writer", kind.__name__, folder]
        command += ["--store", str(recorded.root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                handed = int(line)
                if handed >= KILLED_AFTER_CLIPS * FPS:
                    break
            os.kill(writer.pid, signal.SIGKILL)
            handed = max([handed, *map(int, writer.stdout.read().split())])
        one = kind(Path(folder), recorded.traces[0][0])
        return handed, one.surviving_frames()


def write_until_killed(kind: type[Format], folder: Path, recorded: Recorded) -> None:
    """Write a trace at the pace of a recorder, over and over; print the frames handed on."""
    header, rows = recorded.traces[0]
    clips = [read_clip(recorded.root, row) for row in rows]
    one = kind(folder, header)
    one.begin()
    handed = 0
    for number in range(10**6):
        clip = clips[number % len(clips)]
        # The trace's own second time around is another second of the same trace.
        later = clip.__class__(
            trace_id=clip.trace_id,
            seq=number,
            first_frame=handed,
            frames=clip.frames,
            t_mono_ns=clip.t_mono_ns,
            events=clip.events,
            state=clip.state,
        )
        one.add(later)
        handed += len(clip.frames)
        print(handed, flush=True)
        time.sleep(0.05)


def print_table(rows: list[Row]) -> None:
    """Print the rows, one table a store."""
    for name in dict.fromkeys(row.store for row in rows):
        some = [row for row in rows if row.store == name]
        print(f"\n{name}: {some[0].traces} traces, {some[0].frames} frames")
        print(
            f"{'format':<32}{'write/s':>9}{'a core':>9}{'B/frame':>10}{'MB/h':>9}"
            f"{'p50 ms':>8}{'p95 ms':>8}{'a core':>8}{'survive kill -9':>18}"
        )
        for row in some:
            survived = f"{row.surviving_frames} of {row.handed_frames}"
            print(
                f"{row.format:<32}{row.write_fps:>9.0f}{row.core_fps:>9.0f}"
                f"{row.bytes_per_frame:>10.0f}{row.mb_per_hour:>9.1f}"
                f"{row.window_p50_ms:>8.1f}{row.window_p95_ms:>8.1f}"
                f"{row.window_core_p50_ms:>8.1f}{survived:>18}"
            )


@click.command()
@click.option(
    "--store", "stores", multiple=True, type=click.Path(path_type=Path, exists=True),
    help="A folder of recorded traces; may be given more than once.",
)  # fmt: skip
@click.option("--traces", default=3, show_default=True, help="Traces to make without --store.")
@click.option("--seconds", default=10, show_default=True, help="Their length.")
@click.option("--windows", default=200, show_default=True, help="Random windows of 32 frames.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
@click.option("--writer", nargs=2, hidden=True, help="Write until killed: FORMAT FOLDER.")
def main(
    stores: tuple[Path, ...],
    traces: int,
    seconds: int,
    windows: int,
    as_json: bool,
    writer: tuple[str, str] | None,
) -> None:
    """Set the trace store beside other formats on the same recorded traces."""
    if writer:
        write_until_killed(FORMATS[writer[0]], Path(writer[1]), Recorded.of(stores[0]))
        return
    av.logging.set_level(None)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as made, Progress(console=Console(stderr=True)) as progress:
        if not stores:
            make_traces(Path(made) / "scripted", traces, seconds)
            stores = (Path(made) / "scripted",)
        task = progress.add_task("formats", total=len(stores) * len(FORMATS))
        for root in stores:
            recorded = Recorded.of(root)
            for kind in FORMATS.values():
                progress.update(task, description=f"{root.name}: {kind.name}")
                rows.append(measure(kind, recorded, windows, root.name))
                progress.advance(task)
    print_table(rows)
    if as_json:
        report = {
            "schema": SCHEMA,
            "rows": [asdict(row) for row in rows],
            **circumstances(PACKAGES),
        }
        print(json.dumps(report))


if __name__ == "__main__":
    main()
