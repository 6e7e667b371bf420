"""What is an export worth: its size, its speed, its error, and who can read it?

python benchmarks/exports.py --json

The same traces of a scripted user go through every format. Where ``lerobot`` is installed in
this interpreter, its own reader loads the data set, and every frame and action is compared.
"""

from __future__ import annotations

import io
import json
import platform
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from PIL import Image

from data_collection.action import Action, fold
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.exports import FORMATS, ExportOptions
from data_collection.exports.action_vector import action_vector
from data_collection.exports.video import require_av
from data_collection.recording.collect import collect, synthetic_header
from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.trace import FPS, Clip
from data_collection.users import make_user

SCHEMA = "neuralos.benchmark.exports/1"
WINDOW = 32
WINDOWS = 30
PACKAGES = ("av", "pyarrow", "pillow", "torch", "torchcodec", "lerobot")

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """One format. ``largest_error`` is over all pixels, of 255; windows are of 32 frames."""

    format: str
    reader: str
    frames: int
    bytes_per_frame: float
    mb_per_hour: float
    written_fps: float
    mean_error: float
    largest_error: int
    window_p50_ms: float
    actions_equal: bool | None


@dataclass(frozen=True)
class Recorded:
    """What was recorded: frames (N, H, W, 3) and action vectors (N, A) of each trace."""

    frames: list[Frames]
    actions: list[npt.NDArray[np.float32]]


def record(root: Path, traces: int, clips: int) -> Recorded:
    """Let a task user work and store its traces; return what was stored."""
    store = TraceStore.open(root)
    recorded = Recorded([], [])
    for seed in range(traces):
        desktop = ScriptedDesktop()
        header = synthetic_header(f"t-{seed}", desktop, seed=seed, source="scripted", policy="task")
        store.open_trace(header)
        made: list[Clip] = []
        for clip in collect(desktop, make_user("task"), header, clips):
            store.append(header, EncodedClip.of(clip, encode_clip(clip)), 0.0)
            made.append(clip)
        recorded.frames.append(np.concatenate([clip.frames for clip in made]))
        action, vectors = Action(), []
        for clip in made:
            for events in clip.events:
                action = fold(events, action)
                vectors.append(action_vector(action))
        recorded.actions.append(np.stack(vectors))
    store.close()
    return recorded


def video_windows(folder: Path, traces: int) -> Callable[[int, int, int], Frames]:
    """Return a reader of frames of the MP4 export, by PyAV."""
    av = require_av()

    def read(trace: int, first: int, count: int) -> Frames:
        with av.open(str(folder / f"t-{trace}.mp4")) as container:
            stream = container.streams.video[0]
            lines = (folder / f"t-{trace}.jsonl").read_text().splitlines()
            wanted = {json.loads(line)["t_us"] for line in lines[first : first + count]}
            ticks = round(min(wanted) / 1e6 / float(stream.time_base))
            container.seek(ticks, stream=stream)
            found: list[Frames] = []
            for frame in container.decode(stream):
                if round(float(frame.pts * stream.time_base) * 1e6) in wanted:
                    found.append(frame.to_ndarray(format="rgb24"))
                    if len(found) == count:
                        break
        return np.stack(found)

    return read


def shard_samples(folder: Path) -> Iterator[tuple[str, Frames, npt.NDArray[np.float32], float]]:
    """Yield each sample of the WebDataset export, in order, and the seconds it took."""
    for shard in sorted(folder.glob("*.tar")):
        with tarfile.open(shard) as tar:
            parts: dict[str, bytes] = {}
            begun_s = time.perf_counter()
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                key, _, extension = member.name.partition(".")
                parts[extension] = file.read()
                if extension == "json":
                    pictures = [parts[name] for name in sorted(parts) if name.endswith(".webp")]
                    frames = np.stack([np.asarray(Image.open(io.BytesIO(p))) for p in pictures])
                    actions = np.load(io.BytesIO(parts["actions.npy"]))
                    yield key, frames, actions, time.perf_counter() - begun_s
                    parts, begun_s = {}, time.perf_counter()


@dataclass(frozen=True)
class Reading:
    """What a reader found; actions are None where it was not asked for them."""

    mean_error: float
    largest_error: int
    window_p50_ms: float
    actions_equal: bool | None


def read_mp4(folder: Path, recorded: Recorded, rng: np.random.Generator) -> Reading:
    """Read whole traces and random windows of the MP4 export."""
    read = video_windows(folder, len(recorded.frames))
    whole = [read(trace, 0, len(frames)) for trace, frames in enumerate(recorded.frames)]
    mean, largest = _errors(whole, recorded.frames)
    times_s = []
    for _ in range(WINDOWS):
        trace = int(rng.integers(len(recorded.frames)))
        first = int(rng.integers(len(recorded.frames[trace]) - WINDOW))
        begun_s = time.perf_counter()
        read(trace, first, WINDOW)
        times_s.append(time.perf_counter() - begun_s)
    return Reading(mean, largest, statistics.median(times_s) * 1e3, None)


def read_shards(folder: Path, recorded: Recorded, rng: np.random.Generator) -> Reading:
    """Stream the WebDataset export; its samples are its windows."""
    found, expected, equal, times_s = [], [], True, []
    for key, frames, actions, taken_s in shard_samples(folder):
        trace, first = int(key.split("-")[1]), int(key.split("-")[2])
        found.append(frames)
        expected.append(recorded.frames[trace][first : first + WINDOW])
        equal &= np.array_equal(actions, recorded.actions[trace][first : first + WINDOW])
        times_s.append(taken_s)
    return Reading(*_errors(found, expected), statistics.median(times_s) * 1e3, equal)


def read_lerobot(folder: Path, recorded: Recorded, rng: np.random.Generator) -> Reading:
    """Load the data set with LeRobot's own reader; row i has the action after frame i."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    screen = "observation.images.screen"
    data = LeRobotDataset("neuralos/export", root=folder)
    row, equal, found = 0, True, []
    for trace, frames in enumerate(recorded.frames):
        episode = data.meta.episodes[trace]
        assert (episode["dataset_from_index"], episode["length"]) == (row, len(frames))
        pictures = np.empty_like(frames)
        for index in range(len(frames)):
            item = data[row + index]
            pictures[index] = np.rint(item[screen].permute(1, 2, 0).numpy() * 255)
            if index + 1 < len(frames):
                after = recorded.actions[trace][index + 1]
                equal &= np.array_equal(item["action"].numpy(), after)
        found.append(pictures)
        row += len(frames)
    deltas = [-index / FPS for index in reversed(range(WINDOW))]
    windows = LeRobotDataset("neuralos/export", root=folder, delta_timestamps={screen: deltas})
    times_s = []
    for _ in range(WINDOWS):
        trace = int(rng.integers(len(recorded.frames)))
        end = sum(len(frames) for frames in recorded.frames[:trace])
        end += int(rng.integers(WINDOW, len(recorded.frames[trace])))
        begun_s = time.perf_counter()
        assert windows[end][screen].shape[0] == WINDOW
        times_s.append(time.perf_counter() - begun_s)
    return Reading(*_errors(found, recorded.frames), statistics.median(times_s) * 1e3, equal)


def measure(root: Path, work: Path, recorded: Recorded) -> Iterator[Row]:
    """Export in every format and read it back."""
    cases = [
        ("mp4", False, "PyAV", read_mp4),
        ("mp4", True, "PyAV", read_mp4),
        ("webdataset", True, "tarfile, Pillow", read_shards),
    ]
    if find_spec("lerobot") is not None:
        cases += [("lerobot", lossless, "lerobot", read_lerobot) for lossless in (False, True)]
    store = TraceStore.open(root)
    for name, lossless, reader, read in cases:
        options = ExportOptions(lossless=lossless, segment_frames=WINDOW)
        out = work / f"{name}-{lossless}"
        begun_s = time.perf_counter()
        report = FORMATS[name].export(
            root, store.index.traces(), store.index.trace_rows, out, options=options
        )
        taken_s = time.perf_counter() - begun_s
        reading = read(out, recorded, np.random.default_rng(0))
        yield Row(
            format=f"{name} {'lossless' if lossless else f'crf {options.crf}'}",
            reader=reader,
            frames=report.frames,
            bytes_per_frame=round(report.bytes / report.frames, 1),
            mb_per_hour=round(report.bytes / report.frames * FPS * 3600 / 1e6, 1),
            written_fps=round(report.frames / taken_s, 1),
            mean_error=round(reading.mean_error, 4),
            largest_error=reading.largest_error,
            window_p50_ms=round(reading.window_p50_ms, 2),
            actions_equal=reading.actions_equal,
        )
    store.close()


def _errors(found: list[Frames], expected: list[Frames]) -> tuple[float, int]:
    """Return the mean and the largest difference of two lists of pictures."""
    total, pixels, largest = 0, 0, 0
    for these, those in zip(found, expected, strict=True):
        for one, other in zip(these, those, strict=True):
            difference = np.abs(one.astype(np.int16) - other)
            total, pixels = total + int(difference.sum()), pixels + difference.size
            largest = max(largest, int(difference.max()))
    return total / pixels, largest


@click.command()
@click.option("--traces", default=4, show_default=True, help="How many traces.")
@click.option("--seconds", default=30, show_default=True, help="How long each is.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(traces: int, seconds: int, as_json: bool) -> None:
    """Measure every export of the same traces."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        recorded = record(root, traces, seconds)
        rows = list(measure(root, Path(folder), recorded))
    if as_json:
        versions = {name: metadata.version(name) for name in PACKAGES if _installed(name)}
        machine = f"{platform.machine()}, Python {platform.python_version()}"
        shown = {"rows": [asdict(row) for row in rows], "machine": machine, "versions": versions}
        click.echo(json.dumps({"schema": SCHEMA, **shown}))
        return
    for row in rows:
        click.echo(
            f"{row.format:20} {row.bytes_per_frame:8.0f} B/frame {row.mb_per_hour:7.1f} MB/h "
            f"{row.written_fps:7.0f} fps, error {row.mean_error:.3f} mean, "
            f"{row.largest_error} most, "
            f"{row.window_p50_ms:7.1f} ms a window ({row.reader}; actions {row.actions_equal})"
        )


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
