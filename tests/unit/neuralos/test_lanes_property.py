"""The same (seed, ledger, data) give the same segments, whatever happens to the process.

A *history* is what a ledger and a `data.jsonl` hold: at each step rows to adopt, clips to
withdraw, perhaps a new mixture. Rows come late, out of order, and withdraw earlier ones.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_collection.trace import ClipRow, ClipState
from interactive.record.data_log import DataLog
from interactive.trainer import DataRow
from neuralos.data.config import LaneConfig
from neuralos.data.mixture import Mixture
from neuralos.data.rows import AdoptedClips
from neuralos.data.sampler import Segment, SegmentSampler

LANES = LaneConfig(lanes=3, frames=8, segments=3)
MIXTURES = (
    Mixture(),
    Mixture(fresh_rows=2, half_life_clips={"base": 5.0, "live": 2.0}),
    Mixture(weights={"base": 1.0, "live": 3.0}, trace_cap=0.4, fresh_rows=0),
    Mixture(live_intake=False),
)


@dataclass(frozen=True)
class Step:
    """What stands in the ledger before one step: a mark, withdrawals, a mixture."""

    mark: int
    withdrawn: tuple[int, ...] = ()
    mixture: int | None = None


@dataclass(frozen=True)
class History:
    """Every row of the store in commit order, and the facts of the steps."""

    rows: list[ClipRow]
    steps: list[Step]


def clip_row(commit: int, trace: int, seq: int, weight: int, frames: int) -> ClipRow:
    source = "live" if trace % 2 else "base"
    return ClipRow(
        commit, f"trace-{trace}", seq, source, "", 0, 0, "", "", 15 * seq, frames, weight,
        "real", "", 0.0, 0.0,
    )  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Clips of four traces, some late, some withdrawn by a later row; twenty steps."""
    places = [(trace, seq) for trace in range(4) for seq in range(8)]
    order = draw(st.permutations(places))
    count = draw(st.integers(6, len(order)))
    rows: list[ClipRow] = []
    for trace, seq in order[:count]:
        weight = draw(st.sampled_from([0, 1, 3, 8]))
        frames = draw(st.sampled_from([15, 15, 15, 1]))
        rows.append(clip_row(len(rows) + 1, trace, seq, weight, frames))
        if draw(st.integers(0, 4)) == 0:
            victim = draw(st.sampled_from(rows))
            rows.append(replace(victim, commit=len(rows) + 1, state=ClipState.TOMBSTONED))
    first = len(rows) // 2
    rows[:0] = [clip_row(1, 9, seq, 2, 15) for seq in range(2)]
    rows = [replace(row, commit=commit) for commit, row in enumerate(rows, start=1)]
    marks = sorted(draw(st.lists(st.integers(first + 2, len(rows)), min_size=20, max_size=20)))
    steps = []
    for mark in marks:
        lost = tuple(draw(st.lists(st.integers(3, len(rows)), max_size=1)))
        is_odd = draw(st.integers(0, 5)) == 0
        mixture = draw(st.integers(0, len(MIXTURES) - 1)) if is_odd else None
        steps.append(Step(mark, lost if draw(st.integers(0, 3)) == 0 else (), mixture))
    return History(rows, steps)


class Lanes:
    """A sampler that follows a history; ``data`` may hold more rows than are adopted."""

    def __init__(self, data: DataLog) -> None:
        self._data = data
        self.clips = AdoptedClips()
        self.sampler = SegmentSampler(LANES, 5, self.clips, MIXTURES[0])

    def take(self, step: Step) -> list[Segment]:
        rows = self._data.rows(self.clips.mark, step.mark)
        self.clips.withdraw(step.withdrawn)
        self.clips.adopt(step.mark, [ClipRow.from_json(dict(row.body)) for row in rows])
        if step.mixture is not None:
            self.sampler.mixture = MIXTURES[step.mixture]
        return self.sampler.next() if self.sampler.can_draw() else []

    def restarted(self) -> Lanes:
        """What a new process has after it has read a checkpoint."""
        saved = json.dumps([self.sampler.state_dict(), [r.to_json() for r in self.clips.targets()]])
        state, rows = json.loads(saved)
        other = Lanes(self._data)
        other.clips.adopt(self.clips.mark, [ClipRow.from_json(row) for row in rows])
        other.sampler.load_state_dict(state)
        return other


def data_log(path: Path, rows: Iterable[ClipRow]) -> DataLog:
    path.unlink(missing_ok=True)
    log = DataLog.open(path, writable=True)
    log.append([DataRow(row.commit, row.to_json()) for row in rows])
    return log


def run(history: History, data: DataLog) -> list[list[Segment]]:
    lanes = Lanes(data)
    return [lanes.take(step) for step in history.steps]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lanes")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(histories(), st.integers(0, 19))
def test_segments_follow_from_seed_ledger_and_data(
    folder: Path, history: History, crash: int
) -> None:
    whole = data_log(folder / "data.jsonl", history.rows)
    expected = run(history, whole)
    assert run(history, whole) == expected

    growing = data_log(folder / "growing.jsonl", [])
    lanes, drawn = Lanes(growing), []
    for step in history.steps:
        new = [row for row in history.rows if growing.head < row.commit <= step.mark]
        growing.append([DataRow(row.commit, row.to_json()) for row in new])
        drawn.append(lanes.take(step))
    assert drawn == expected, "rows beyond the mark change nothing"

    lanes, drawn = Lanes(whole), []
    for number, step in enumerate(history.steps):
        if number == crash:
            lanes = lanes.restarted()
        drawn.append(lanes.take(step))
    assert drawn == expected, "a restart goes on where the lanes stood"
    growing.close()
    whole.close()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(histories())
def test_no_segment_and_no_carried_state_has_a_clip_that_may_not_be_learned_from(
    folder: Path, history: History
) -> None:
    lanes = Lanes(data_log(folder / "data.jsonl", history.rows))
    passages: list[set[tuple[str, int]]] = [set() for _ in range(LANES.lanes)]
    for step in history.steps:
        for number, segment in enumerate(lanes.take(step)):
            allowed = {(row.trace_id, row.seq) for row in lanes.clips.targets()}
            frames = range(segment.first_frame - 1, segment.first_frame + segment.frames)
            read = {(segment.trace_id, frame // 15) for frame in frames}
            passages[number] = read if segment.starts else passages[number] | read
            assert segment.frames >= 1
            assert passages[number] <= allowed


FIXED = History(
    [
        *(clip_row(seq + 1, 0, seq, 2, 15) for seq in range(9)),
        *(clip_row(seq + 10, 1, seq, 1 + seq, 15) for seq in range(7)),
        replace(clip_row(17, 0, 4, 2, 15), state=ClipState.TOMBSTONED),
        *(clip_row(commit, 2, seq, 3, 15) for commit, seq in ((18, 1), (19, 0), (20, 3))),
    ],
    [Step(9), Step(9), Step(12), Step(16), Step(17, (11,), 2), Step(20, (), 1), *[Step(20)] * 14],
)


def fingerprint_of(segments: list[list[Segment]]) -> str:
    return hashlib.sha256(repr(segments).encode()).hexdigest()


def test_another_process_draws_the_same(tmp_path: Path) -> None:
    here = fingerprint_of(run(FIXED, data_log(tmp_path / "data.jsonl", FIXED.rows)))
    code = (
        "import sys, pathlib; import tests.unit.neuralos.test_lanes_property as t;"
        "log = t.DataLog.open(pathlib.Path(sys.argv[1]));"
        "print(t.fingerprint_of(t.run(t.FIXED, log)))"
    )
    command: list[Any] = [sys.executable, "-c", code, tmp_path / "data.jsonl"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert done.stdout.strip() == here
