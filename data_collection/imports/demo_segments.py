"""A log cut where its desktop was reset, on one timeline that never runs backwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from data_collection.imports.demo_lines import LogLine
from data_collection.imports.importer import ImportProblem

IN_FLIGHT_S = 0.04
"""No frame of the demo is ready sooner after its input."""
UNCERTAIN_S = 0.25
"""A frame that was begun before a reset may be ready that long after it."""
BUSY_S = 0.25
"""Frames that follow each other sooner were made without a pause between them."""
STEP_S = 1 / 15
"""The step put where the log's clock was set back."""
LONGEST_GAP_S = 10.0
"""The longest pause that is kept."""


@dataclass(frozen=True, slots=True)
class TimedLine:
    """A line with its inputs on the mended timeline; times in seconds, wall clock.

    ``input_s`` is when the input was made, as well as the log tells; ``ready_s`` when the
    simulator's frame for it was ready.
    """

    line: LogLine
    input_s: float
    ready_s: float


@dataclass(slots=True)
class LogSegment:
    """The lines between two resets; ``number`` counts the resets before it."""

    number: int
    lines: list[LogLine] = field(default_factory=list)
    end_line: int = 0
    """The number of the line that ended it."""


def split(lines: Iterable[LogLine], file: str, problems: list[ImportProblem]) -> list[LogSegment]:
    """Return the segments that have lines; empty ones and a missing end are noted."""
    segments = [LogSegment(0)]
    marker: LogLine | None = None
    ended = False
    last = 0
    for line in lines:
        last = line.number
        current = segments[-1]
        if line.inputs is None:
            if not current.lines:
                _note(problems, file, line.number, "empty_segment", "nothing before this marker")
            current.end_line = line.number
            segments.append(LogSegment(len(segments)))
            marker, ended = line, line.is_end
            continue
        if ended:
            _note(problems, file, line.number, "after_end", "kept as a segment of its own")
            ended = False
        if marker is not None and not current.lines:
            current = _owner(segments, marker, line, file, problems)
            # Only one frame is in flight at a time.
            marker = None
        current.lines.append(line)
    if not ended:
        segments[-1].end_line = last
        _note(problems, file, last, "no_end", "the log has no end marker")
    return [segment for segment in segments if segment.lines]


def frame_time_s(segments: Iterable[LogSegment]) -> float:
    """Return the usual time from an input to its frame, in seconds.

    The log holds only when frames were ready; while inputs queue, a frame is begun when the
    one before is ready, so the usual distance of neighbours is the time that a frame takes.
    """
    steps = [
        after.end_s - before.end_s
        for segment in segments
        for before, after in pairwise(segment.lines)
        if 0 < after.end_s - before.end_s < BUSY_S
    ]
    return median(steps) if steps else STEP_S


def mend_times(
    segment: LogSegment, frame_s: float, file: str, problems: list[ImportProblem]
) -> list[TimedLine]:
    """Return a segment's lines with times that never run backwards, and estimated inputs."""
    timed: list[TimedLine] = []
    shift_s = 0.0
    before_s = segment.lines[0].end_s
    for index, line in enumerate(segment.lines):
        ready_s = line.end_s + shift_s
        step_s = ready_s - before_s
        if step_s < 0:
            hint = f"{-step_s:.3f} s before the line above; moved, with all after it"
            _note(problems, file, line.number, "time_back", hint)
            ready_s = before_s + STEP_S
        elif index and step_s == 0:
            _note(problems, file, line.number, "time_equal", "at the same time as the line above")
        elif step_s > LONGEST_GAP_S:
            hint = f"{step_s:.0f} s after the line above; shortened to {LONGEST_GAP_S:.0f} s"
            _note(problems, file, line.number, "long_gap", hint)
            ready_s = before_s + LONGEST_GAP_S
        shift_s = ready_s - line.end_s
        # A frame is not begun before the one above is ready.
        input_s = max(before_s, ready_s - frame_s) if index else ready_s - frame_s
        timed.append(TimedLine(line, input_s, ready_s))
        before_s = ready_s
    return timed


def _owner(
    segments: list[LogSegment],
    marker: LogLine,
    line: LogLine,
    file: str,
    problems: list[ImportProblem],
) -> LogSegment:
    """Return the segment of the first line after a reset."""
    since_s = line.end_s - marker.end_s
    if 0 <= since_s < IN_FLIGHT_S and segments[-2].lines:
        hint = f"ready {since_s * 1000:.0f} ms after the reset, so begun before it"
        _note(problems, file, line.number, "before_reset", f"{hint}; moved there")
        return segments[-2]
    if 0 <= since_s < UNCERTAIN_S:
        hint = f"ready {since_s * 1000:.0f} ms after the reset: it may have been begun before it"
        _note(problems, file, line.number, "uncertain_segment", f"{hint}; kept after it")
    return segments[-1]


def _note(problems: list[ImportProblem], file: str, line: int, code: str, hint: str) -> None:
    problems.append(ImportProblem(file, line, code, hint))
