"""Whether a generated task episode ends as the real one did, and not before its time."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from neuralos.data.encode import Frames
from neuralos.evaluation.frame_quality import Plane, contrast, psnr_db, squared_error, ssim_map
from neuralos.evaluation.passage import COMPARED_REDUCTION, Passage

TASKS = ("home", "browser", "folder", "close", "drag", "type")
MORE_TIME = 1.25
"""What the simulator may need, against what the real desktop needed."""
EARLY = 0.1
"""An event may come sooner by this share of the time from its input to it, at least a frame."""

NEAR = 0.2
"""Squared error to the end, at most this share of the distance from the start to the end."""
NEAR_CELLS = 0.9
"""Share of the changed cells that have to be nearer to the end than to the start."""
ALIKE = 0.5
"""Structural similarity from which on a cell looks like the real one."""
ALIKE_CELLS = 0.8
"""Share of the changed cells that have to: of those with edges, and of those without."""
ELSEWHERE_DB = 20.0
"""Least PSNR where nothing was to change."""

_CELL_PX = 8
_LEAST_CELL_PIXELS = 4
_LEAST_CHANGED_PIXELS = 8
_CHANGED_LEVELS = 8
_EDGES_LEVELS = 3.0
"""Mean contrast of neighbouring pixels from which on a cell has edges."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a task episode went.

    ``near`` is the squared error over the distance to go; of the changed cells ``cells`` is the
    share nearer to the end, ``edges`` and ``flats`` that of those with and without edges which
    look like the real ones.
    """

    early: bool
    near: float
    cells: float
    edges: float
    flats: float
    elsewhere_db: float

    @property
    def present(self) -> bool:
        """Whether the last frame shows the end."""
        return (
            self.near <= NEAR
            and self.cells >= NEAR_CELLS
            and min(self.edges, self.flats) >= ALIKE_CELLS
            and self.elsewhere_db >= ELSEWHERE_DB
        )

    def faults(self) -> list[str]:
        """Return what is wrong, in words."""
        told = (
            (self.early, "too early"),
            (self.near > NEAR, f"squared error {self.near:.2f} of the distance to go"),
            (self.cells < NEAR_CELLS, f"{self.cells:.0%} of the cells nearer to the end"),
            (self.edges < ALIKE_CELLS, f"{self.edges:.0%} of the cells with edges alike"),
            (self.flats < ALIKE_CELLS, f"{self.flats:.0%} of the cells without alike"),
            (self.elsewhere_db < ELSEWHERE_DB, f"{self.elsewhere_db:.0f} dB elsewhere"),
        )
        return [text for wrong, text in told if wrong]

    @property
    def success(self) -> bool:
        """Whether the event came, and not before its time."""
        return self.present and not self.early


def task_length(needed: int) -> int:
    """Return how many frames are generated where the real desktop needed ``needed``."""
    return ceil(MORE_TIME * needed)


@dataclass(frozen=True, slots=True)
class TaskJudge:
    """The real start and end of a task, and the pixels in which they differ."""

    passage: Passage
    start: Frames
    end: Frames
    changed: Mask

    @classmethod
    def of(cls, passage: Passage) -> TaskJudge:
        """Compare the last known frame with the last real one, both without cursor."""
        start, end = passage.bare(passage.warm - 1), passage.bare(len(passage.frames) - 1)
        differs = np.abs(start.astype(np.int16) - end).max(-1) > _CHANGED_LEVELS
        return cls(passage, start, end, differs)

    @property
    def possible(self) -> bool:
        """Whether the end can be told from the start, with the cursor where it ends."""
        last = len(self.passage.frames) - 1
        seen = self.changed & self.passage.clear_of_pointer(last)
        scale = (COMPARED_REDUCTION / self.passage.reduction) ** 2
        return int(seen.sum()) >= _LEAST_CHANGED_PIXELS * scale

    @property
    def too_early(self) -> int:
        """How many generated frames come before the event could be seen."""
        passage = self.passage
        real = next(
            index
            for index in range(passage.warm, len(passage.frames))
            if self._nearer_to_end(passage.frames[index], index)
        )
        tolerance = max(1, int(EARLY * (passage.event - passage.decisive)))
        return max(0, real - tolerance - passage.warm)

    def judge(self, generated: Frames) -> Verdict:
        """Return how generated frames (G, Y, P, 3) fulfil the task."""
        warm, last = self.passage.warm, len(self.passage.frames) - 1
        early = any(
            self._nearer_to_end(generated[index], warm + index) for index in range(self.too_early)
        )
        drawn = generated[last - warm]
        clear = self.passage.clear_of_pointer(last)
        seen = self.changed & clear
        to_end = squared_error(drawn, self.end)
        to_start = squared_error(drawn, self.start)
        to_go = squared_error(self.start, self.end)
        cells, edges, flats = self._cells(drawn, to_end, to_start, seen)
        return Verdict(
            early=early,
            near=float(to_end[seen].mean() / to_go[seen].mean()),
            cells=cells,
            edges=edges,
            flats=flats,
            elsewhere_db=float(psnr_db(float(to_end[~self.changed & clear].mean()))),
        )

    def _nearer_to_end(self, frame: Frames, index: int) -> bool:
        seen = self.changed & self.passage.clear_of_pointer(index)
        if not seen.any():
            return False
        to_end = squared_error(frame, self.end)[seen].mean()
        return bool(to_end < squared_error(frame, self.start)[seen].mean())

    def _cells(
        self, drawn: Frames, to_end: Plane, to_start: Plane, seen: Mask
    ) -> tuple[float, float, float]:
        """Return the shares of cells nearer to the end, and alike: with edges, and without."""
        cell_px = _CELL_PX * COMPARED_REDUCTION // self.passage.reduction

        def sums(values: Plane) -> Plane:
            return _cell_sums(np.where(seen, values, 0.0), cell_px)

        pixels = sums(np.ones(seen.shape))
        counted = pixels >= min(_LEAST_CELL_PIXELS, pixels.max())
        known = np.maximum(pixels, 1)
        nearer = sums(to_end) < sums(to_start)
        alike = sums(ssim_map(drawn, self.end)) / known >= ALIKE
        edged = sums(contrast(self.end)) / known >= _EDGES_LEVELS
        return (
            float(nearer[counted].mean()),
            _share(alike[counted & edged]),
            _share(alike[counted & ~edged]),
        )


def _cell_sums(values: Plane, cell_px: int) -> Plane:
    height, width = values.shape
    cells = values.reshape(height // cell_px, cell_px, width // cell_px, cell_px)
    sums: Plane = cells.sum((1, 3))
    return sums


def _share(which: Mask) -> float:
    """Return the share of cells for which something holds; all of none."""
    return float(which.mean()) if which.size else 1.0
