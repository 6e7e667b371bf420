"""Lanes without epochs: which segment each row of the batch reads next."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data_collection.trace import ClipRow
from neuralos.data.columns import Ints
from neuralos.data.config import LaneConfig
from neuralos.data.mixture import LIVE_SOURCE, Floats, Mixture, clip_chances
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
    """Where a lane stands: its passage began with frame ``began``, ``left`` segments are left."""

    passages: int = 0
    trace_id: str = ""
    frame: int = 0
    left: int = 0
    began: int = 0


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
        self._rows: Sequence[ClipRow] = ()
        self._used: Ints = np.zeros(0, dtype=np.int64)
        self._cumulative: Floats = np.zeros(0)
        self._live: Ints = np.zeros(0, dtype=np.int64)
        self._live_commits: Ints = np.zeros(0, dtype=np.int64)

    def can_draw(self) -> bool:
        """Say whether there is a clip with a chance to be drawn."""
        self._compute_chances()
        return len(self._used) > 0

    def reshape(self, config: LaneConfig) -> None:
        """Draw segments of another shape from now on; every passage ends."""
        self._config = config
        for lane in self._lanes:
            lane.left = 0

    def passages_left(self) -> int:
        """Return after how many steps every lane has begun a new passage."""
        return max(lane.left for lane in self._lanes)

    def ended(self) -> list[bool]:
        """Return which lanes begin a new passage with their next segment."""
        return [lane.left == 0 or not self._can_go_on(lane) for lane in self._lanes]

    def drop_passages(self, sources: Collection[str]) -> int:
        """Let the passages of some sources end; return how many there were."""
        ended = [lane for lane in self._lanes if lane.left > 0 and self._source(lane) in sources]
        for lane in ended:
            lane.left = 0
        return len(ended)

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

    def _source(self, lane: _Lane) -> str | None:
        """Return the source that a lane reads; None if its clips are gone."""
        run = self._clips.run(lane.trace_id, lane.began)
        return run[0].source if run else None

    def _compute_chances(self) -> None:
        key = (self._clips.version, self.mixture)
        if self._drawn_from == key:
            return
        clips = self._clips.columns()
        chances = clip_chances(clips, self.mixture)
        self._rows = clips.rows
        self._used = np.flatnonzero(chances)
        self._cumulative = np.add.accumulate(chances[self._used])
        is_live = np.array([source == LIVE_SOURCE for source in clips.sources], dtype=bool)
        self._live = np.flatnonzero(is_live[clips.source] & (clips.frames > 1))
        self._live_commits = clips.commit[self._live]
        self._drawn_from = key

    def _take_fresh(self) -> list[Segment]:
        wanted = min(self.mixture.fresh_rows, self._config.lanes)
        if not self.mixture.live_intake or not self.mixture.weights.get(LIVE_SOURCE) or wanted == 0:
            return []
        self._compute_chances()
        first = int(np.searchsorted(self._live_commits, self._fresh_cursor, side="right"))
        waiting = [self._rows[index] for index in self._live[first : first + wanted]]
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
        if lane.left > 0 and not self._can_go_on(lane):
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

    def _can_go_on(self, lane: _Lane) -> bool:
        """Say whether all that the passage has read, and its next segment, are one run.

        The state it carries comes from every frame since it began: where one of these was
        withdrawn, the passage ends.
        """
        run = self._clips.run(lane.trace_id, lane.frame - 1)
        if not run or run[0].first_frame > lane.began:
            return False
        return lane.frame + self._config.frames <= end_frame(run)

    def _begin_passage(self, index: int, lane: _Lane) -> None:
        self._compute_chances()
        rng = numpy_generator(self._seed, "passage", index, lane.passages)
        at = np.searchsorted(self._cumulative, rng.random() * self._cumulative[-1], side="right")
        row = self._rows[self._used[min(int(at), len(self._used) - 1)]]
        run = self._clips.run(row.trace_id, row.first_frame)
        lead = self._config.lead or -(-self._config.frames // 2)
        wanted = row.first_frame + int(rng.integers(-lead, row.frames))
        latest = end_frame(run) - self._config.frames
        lane.trace_id = row.trace_id
        lane.frame = max(run[0].first_frame + 1, min(wanted, latest))
        lane.began = lane.frame - 1
        lane.left = self._config.segments
        lane.passages += 1
