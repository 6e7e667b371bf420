"""Rollouts: frames that the simulator generates, and pictures of them beside the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from neuralos.data.encode import Floats, Keys
from neuralos.models.simulator import Simulator
from neuralos.runtime.engine import Known, make_engine
from neuralos.runtime.inputs import Controls

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Recording:
    """Reduced frames (N, Y, P, 3) and the actions that led to each."""

    frames: Frames
    actions: Floats
    keys: Keys


def rollout(simulator: Simulator, recording: Recording, warm_frames: int, seed: int) -> Frames:
    """Follow ``warm_frames`` frames, then generate the rest from their actions alone.

    From where the simulator's state is no longer finite, frames are black.
    """
    frames, actions, keys = recording.frames, recording.actions, recording.keys
    engine = make_engine(simulator, slots=1)
    known = slice(0, max(1, warm_frames))
    session = engine.join(
        engine.board("rollout", seed, Known(frames[known], actions[known], keys[known]))
    )
    generated = np.zeros_like(frames[warm_frames:])
    for t in range(warm_frames, len(frames)):
        drawn = engine.step({session: Controls(actions[t], keys[t])})
        if drawn.failed:
            break
        generated[t - warm_frames] = drawn.frames[session]
    return generated


def write_strip(path: Path, real: Frames, generated: Frames, columns: Sequence[int]) -> None:
    """Write a picture: real frames above, generated ones below, one column each."""
    index = list(columns)
    rows = [np.concatenate(list(frames[index]), axis=1) for frames in (real, generated)]
    gap = np.full((2, rows[0].shape[1], 3), 255, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate((rows[0], gap, rows[1]), axis=0)).save(path)
