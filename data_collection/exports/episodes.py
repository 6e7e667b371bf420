"""Which clips may leave a store, and the frames of them one after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from data_collection.action import Action, fold
from data_collection.events import Event, Marker
from data_collection.exports.exporter import (
    ExportOptions,
    ExportReport,
    LeftOut,
    NothingToExport,
    Progress,
    RowsOf,
)
from data_collection.storage.index import TraceSummary
from data_collection.storage.store import read_clip
from data_collection.trace import Clip, ClipRow, ClipState, Consent, TraceHeader

NO_FRAMES = "missing"
"""The ``frame_source`` of a trace whose frames nobody has."""
GOAL_MARKER = "goal"
"""The kind of marker whose note says what the user is trying to do from then on."""
_AGREED = (Consent.GIVEN, Consent.SYNTHETIC)


@dataclass(frozen=True, slots=True)
class Episode:
    """Consecutive clips of a trace, none missing between them.

    ``number`` counts the stretches of one trace from 0: a trace without a gap has one.
    """

    header: TraceHeader
    number: int
    rows: tuple[ClipRow, ...]

    @property
    def name(self) -> str:
        """The trace's id, and the number of the stretch where there are several."""
        return self.header.trace_id + (f"-part{self.number}" if self.number else "")

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return sum(row.frames for row in self.rows)

    @property
    def task(self) -> str:
        """Who acted: the task of frames before the first goal that the trace names."""
        return self.header.policy or self.header.source


@dataclass(frozen=True, slots=True)
class Second:
    """A clip of an episode and the action of each of its frames.

    ``actions[i]`` is what led to frame i, folded from the episode's start; ``tasks[i]`` what
    the user was trying to do then, in words.
    """

    clip: Clip
    actions: tuple[Action, ...]
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What may be exported, and what may not."""

    episodes: tuple[Episode, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def frames(self) -> int:
        """How many frames all episodes have."""
        return sum(episode.frames for episode in self.episodes)

    def report(self, files: tuple[str, ...], size_bytes: int) -> ExportReport:
        """Return the report of an export of all of it, into these files."""
        traces = tuple(dict.fromkeys(episode.header.trace_id for episode in self.episodes))
        count = len(self.episodes)
        return ExportReport(traces, files, count, self.frames, size_bytes, self.left_out)


def select(traces: Sequence[TraceSummary], rows_of: RowsOf, options: ExportOptions) -> Selection:
    """Return the episodes of traces, cut where clips are missing.

    Only what was agreed to and not withdrawn is taken, from the frame source asked for.

    Raises:
        NothingToExport: nothing is left.
    """
    episodes: list[Episode] = []
    left_out: list[LeftOut] = []
    for trace in traces:
        reason = _refusal(trace, options)
        if reason is None:
            found = _episodes(trace.header, rows_of(trace.header.trace_id), left_out)
            episodes.extend(found)
        else:
            left_out.append(reason)
    if not episodes:
        hint = "; ".join(f"{one.trace}: {one.hint}" for one in left_out[:3])
        raise NothingToExport("none of these traces may be exported", hint or "there are none")
    return Selection(tuple(episodes), tuple(left_out))


def seconds(root: Path, episode: Episode) -> Iterator[Second]:
    """Yield an episode's clips with their actions, one in memory at a time.

    Raises:
        ClipCorrupt: a clip's bytes are damaged.
    """
    action = Action()
    task = episode.task
    for row in episode.rows:
        clip = read_clip(root, row)
        actions, tasks = [], []
        for events in clip.events:
            action = fold(events, action)
            actions.append(action)
            task = _goal(events) or task
            tasks.append(task)
        yield Second(clip, tuple(actions), tuple(tasks))


class Counter:
    """Tells a progress callback how many frames of an export are done."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self.add(0)

    def add(self, frames: int) -> None:
        """Note so many more frames as done."""
        self._done += frames
        if self._progress is not None:
            self._progress(self._done, self._total)


def _goal(events: Iterable[Event]) -> str:
    goals = [one.note for one in events if isinstance(one, Marker) and one.kind == GOAL_MARKER]
    return goals[-1] if goals else ""


def _refusal(trace: TraceSummary, options: ExportOptions) -> LeftOut | None:
    header = trace.header
    source = header.frame_source
    if trace.state is ClipState.TOMBSTONED:
        return LeftOut(header.trace_id, None, "withdrawn", "its owner withdrew it")
    if header.consent not in _AGREED:
        return LeftOut(header.trace_id, None, "consent", "nobody agreed to it")
    if source == NO_FRAMES:
        return LeftOut(header.trace_id, None, "no_frames", "it has events only; relabel it first")
    if options.frame_source not in (source, "any"):
        return LeftOut(header.trace_id, None, "frame_source", f"its frames are {source}")
    return None


def _episodes(
    header: TraceHeader, rows: Iterable[ClipRow], left_out: list[LeftOut]
) -> Iterator[Episode]:
    """Yield the stretches of a trace; note what is missing between them."""
    # A withdrawal is a row of its own beside the clip's, so either names it.
    withdrawn = {row.seq for row in rows if row.state is ClipState.TOMBSTONED}
    for seq in sorted(withdrawn):
        left_out.append(LeftOut(header.trace_id, seq, "withdrawn", "its owner withdrew it"))
    kept = sorted((row for row in rows if row.seq not in withdrawn), key=lambda row: row.seq)
    if not kept:
        left_out.append(LeftOut(header.trace_id, None, "empty", "it has no clips"))
        return
    cuts = [0]
    for index, (before, after) in enumerate(pairwise(kept), start=1):
        if after.seq != before.seq + 1:
            cuts.append(index)
            for seq in range(before.seq + 1, after.seq):
                if seq not in withdrawn:
                    left_out.append(LeftOut(header.trace_id, seq, "gap", "it never arrived"))
    for number, (first, end) in enumerate(pairwise([*cuts, len(kept)])):
        yield Episode(header, number, tuple(kept[first:end]))
