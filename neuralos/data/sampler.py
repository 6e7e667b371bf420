"""Lanes without epochs: which segment each row of the batch reads next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_collection.trace import ClipRow
from neuralos.data.config import LaneConfig
from neuralos.data.mixture import LIVE_SOURCE, Mixture, clip_chances
from neuralos.data.rows import AdoptedClips, end_frame
from neuralos.keyed import numpy_generator


@dataclass(frozen=True, slots=True)
class Segment:
    """``frames`` frames of a trace from ``first_frame`` on (at most T).

    ``starts``: a passage begins here. ``fresh``: a passage of this one segment, in place
    of the lane's own, which has ended with it.
    """

    trace_id: str
    first_frame: int
    frames: int
    starts: bool
    fresh: bool


@dataclass(slots=True)
class _Lane:
    """Where a lane stands; ``left`` segments of its passage are still to read."""

    passages: int = 0
    trace_id: str = ""
    frame: int = 0
    left: int = 0


class SegmentSampler:
    """Draws passages; (trace, start) is a function of seed, lane, passage, mark and mixture."""

    def __init__(
        self, config: LaneConfig, seed: int, clips: AdoptedClips, mixture: Mixture
    ) -> None:
        self._config = config
        self._seed = seed
        self._clips = clips
        self._lanes = [_Lane() for _ in range(config.lanes)]
        self._fresh_cursor = 0
        self.mixture = mixture
        self._drawn_from: tuple[int, Mixture] | None = None
        self._rows: list[ClipRow] = []
        self._cumulative: npt.NDArray[np.float64] = np.zeros(0)

    def refresh(self) -> None:
        """Forget what was computed from the clips: rows came or went at the same mark."""
        self._drawn_from = None

    def can_draw(self) -> bool:
        """Say whether there is a clip with a chance to be drawn."""
        self._compute_chances()
        return len(self._rows) > 0

    def passages_left(self) -> int:
        """Return after how many steps every lane has begun a new passage."""
        return max(lane.left for lane in self._lanes)

    def next(self) -> list[Segment]:
        """Return the segment of every lane for one step."""
        fresh = self._take_fresh()
        ordinary = self._config.lanes - len(fresh)
        return [self._advance(index) for index in range(ordinary)] + fresh

    def state_dict(self) -> dict[str, Any]:
        """Return where every lane stands, as a JSON object."""
        return {
            "lanes": [asdict(lane) for lane in self._lanes],
            "fresh_cursor": self._fresh_cursor,
            "mixture": self.mixture.to_json(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``'s object."""
        self._lanes = [_Lane(**lane) for lane in state["lanes"]]
        self._fresh_cursor = state["fresh_cursor"]
        self.mixture = Mixture(**state["mixture"])
        self.refresh()

    def _compute_chances(self) -> None:
        key = (self._clips.mark, self.mixture)
        if self._drawn_from == key:
            return
        rows = [row for row in self._clips.targets() if row.frames > 1]
        chances = clip_chances(rows, self.mixture)
        used = np.flatnonzero(chances)
        self._rows = [rows[index] for index in used]
        self._cumulative = np.cumsum(chances[used])
        self._waiting = [row for row in rows if row.source == LIVE_SOURCE]
        self._drawn_from = key

    def _take_fresh(self) -> list[Segment]:
        wanted = min(self.mixture.fresh_rows, self._config.lanes)
        if not self.mixture.live_intake or wanted == 0:
            return []
        self._compute_chances()
        waiting = [row for row in self._waiting if row.commit > self._fresh_cursor][:wanted]
        if waiting:
            self._fresh_cursor = waiting[-1].commit
        for lane in self._lanes[self._config.lanes - len(waiting) :]:
            lane.left = 0
        return [self._ending_at(row) for row in waiting]

    def _ending_at(self, row: ClipRow) -> Segment:
        run = self._clips.run(row.trace_id, row.first_frame)
        end = row.first_frame + row.frames
        first = max(run[0].first_frame + 1, end - self._config.frames)
        return Segment(row.trace_id, first, end - first, starts=True, fresh=True)

    def _advance(self, index: int) -> Segment:
        lane = self._lanes[index]
        if lane.left > 0:
            run = self._clips.run(lane.trace_id, lane.frame - 1)
            if not run or lane.frame + self._config.frames > end_frame(run):
                lane.left = 0
        starts = lane.left == 0
        if starts:
            self._begin_passage(index, lane)
        run = self._clips.run(lane.trace_id, lane.frame)
        frames = min(self._config.frames, end_frame(run) - lane.frame)
        segment = Segment(lane.trace_id, lane.frame, frames, starts, fresh=False)
        lane.frame += frames
        lane.left -= 1
        return segment

    def _begin_passage(self, index: int, lane: _Lane) -> None:
        self._compute_chances()
        rng = numpy_generator(self._seed, "passage", index, lane.passages)
        at = np.searchsorted(self._cumulative, rng.random() * self._cumulative[-1], side="right")
        row = self._rows[min(int(at), len(self._rows) - 1)]
        run = self._clips.run(row.trace_id, row.first_frame)
        wanted = row.first_frame + int(rng.integers(-self._config.frames // 2, row.frames))
        latest = end_frame(run) - self._config.frames
        lane.trace_id = row.trace_id
        lane.frame = max(run[0].first_frame + 1, min(wanted, latest))
        lane.left = self._config.segments
        lane.passages += 1
