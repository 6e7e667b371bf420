"""What passes for the end of a task? Distorted last frames of ``basic-v1``, task by task.

python benchmarks/task_criterion.py --json

Each row is a distortion of the real last frame, and the share of each task's episodes in
which it still counts as the event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np
import torch
from report import circumstances

from neuralos.data.encode import TINY_SCREEN, Frames
from neuralos.data.latents import encode_frames
from neuralos.evaluation.passage import Passage
from neuralos.evaluation.shelf import Shelf, default_cache
from neuralos.evaluation.suite import load_suite
from neuralos.evaluation.tasks import TASKS, TaskJudge
from neuralos.keyed import numpy_generator
from neuralos.models.patch_code import PatchCode

SCHEMA = "neuralos.benchmark.task_criterion/1"
PACKAGES = ("numpy", "torch")

Distort = Callable[[Passage], Frames]


def blurred(frame: Frames, times: int) -> Frames:
    """Return a frame of which each pixel is the mean of itself and its four neighbours."""
    values = frame.astype(np.float64)
    for _ in range(times):
        padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
        around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        values = (values + around) / 5
    result: Frames = values.round().astype(np.uint8)
    return result


def blocks(frame: Frames, size_px: int) -> Frames:
    """Return a frame in squares of their mean colour."""
    height, width, _ = frame.shape
    means = frame.reshape(height // size_px, size_px, width // size_px, size_px, 3).mean((1, 3))
    result: Frames = means.astype(np.uint8).repeat(size_px, 0).repeat(size_px, 1)
    return result


def mixed(passage: Passage, share: float) -> Frames:
    """Return the end with a share of the start showing through."""
    start, end = passage.frames[passage.warm - 1], passage.real[-1]
    result: Frames = (share * start + (1 - share) * end.astype(np.float64)).astype(np.uint8)
    return result


def noisy(frame: Frames, levels: float) -> Frames:
    """Return a frame with Gaussian noise."""
    noise = numpy_generator(0, "noise").normal(0, levels, frame.shape)
    result: Frames = np.clip(frame + noise, 0, 255).astype(np.uint8)
    return result


def through(code: PatchCode, frame: Frames) -> Frames:
    """Return a frame through an autoencoder and back."""
    with torch.no_grad():
        result: Frames = code.decode(encode_frames(code, frame[None]))[0].numpy()
    return result


def distortions(frames: Frames) -> dict[str, Distort]:
    """Return the distortions by name; the autoencoders are fitted on some frames."""
    codes = {size: PatchCode(size, TINY_SCREEN) for size in (48, 64, 96)}
    for code in codes.values():
        code.fit(frames)
    return {
        "the real frame": lambda passage: passage.real[-1],
        **{
            f"patch code, {size} components": lambda p, code=code: through(code, p.real[-1])  # type: ignore[misc]
            for size, code in codes.items()
        },
        "noise of 8 levels": lambda p: noisy(p.real[-1], 8),
        "blurred twice": lambda p: blurred(p.real[-1], 2),
        "blurred four times": lambda p: blurred(p.real[-1], 4),
        "a pixel to the right": lambda p: np.roll(p.real[-1], 1, 1),
        "20 % of the start": lambda p: mixed(p, 0.2),
        "50 % of the start": lambda p: mixed(p, 0.5),
        "blocks of 4×4 pixels": lambda p: blocks(p.real[-1], 4),
        "blocks of 8×8 pixels": lambda p: blocks(p.real[-1], 8),
        "frozen": lambda p: p.frames[p.warm - 1],
    }


def passes(passages: Sequence[Passage], distort: Distort) -> dict[str, float]:
    """Return the share of each task's episodes whose distorted end still counts."""
    found: dict[str, list[bool]] = {task: [] for task in TASKS}
    for passage in passages:
        frames = passage.real.copy()
        frames[-1] = distort(passage)
        found[passage.group].append(TaskJudge.of(passage).judge(frames).present)
    return {task: float(np.mean(present)) for task, present in found.items()}


@click.command(help=__doc__)
@click.option("--cache", type=click.Path(path_type=Path), help="Where the suite's frames are kept.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(cache: Path | None, as_json: bool) -> None:
    torch.set_num_threads(1)
    suite = load_suite("basic-v1")
    shelf = Shelf(suite, TINY_SCREEN, cache or default_cache())
    tasks = [shelf.passage(one) for one in suite.episodes if one.group in TASKS]
    others = [shelf.passage(one) for one in suite.episodes if one.group not in TASKS]
    frames = np.concatenate([passage.frames[::8] for passage in others])
    rows = [
        {"end": name, **passes(tasks, distort)} for name, distort in distortions(frames).items()
    ]
    if as_json:
        about = {"suite": suite.name, "digest": suite.digest, "rows": rows}
        print(json.dumps({"schema": SCHEMA, **about, **circumstances(PACKAGES)}))
        return
    print(f"| the last frame is | {' | '.join(TASKS)} |")
    print(f"|---|{'---|' * len(TASKS)}")
    for row in rows:
        print(f"| {row['end']} | {' | '.join(f'{row[task]:.2f}' for task in TASKS)} |")


if __name__ == "__main__":
    main()
