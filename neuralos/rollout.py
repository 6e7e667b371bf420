"""Pictures of rollouts beside the real frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Frames = npt.NDArray[np.uint8]


def write_strip(path: Path, real: Frames, generated: Frames, columns: Sequence[int]) -> None:
    """Write a picture: real frames above, generated ones below, one column each."""
    index = list(columns)
    rows = [np.concatenate(list(frames[index]), axis=1) for frames in (real, generated)]
    gap = np.full((2, rows[0].shape[1], 3), 255, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate((rows[0], gap, rows[1]), axis=0)).save(path)
