"""What a stored trace shows when it is read from end to end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_collection.recording.goals import (
    GoalOutcome,
    all_reached,
    goal_in_words,
    goal_outcomes,
)
from data_collection.recording.pace import NS_PER_S
from data_collection.storage.codec import ClipMeta, decode_meta
from data_collection.storage.reading import read_body
from data_collection.trace import ClipRow, ClipState


@dataclass(frozen=True, slots=True)
class TraceFacts:
    """Frames, the rate at which they came, the events by type, and the goals.

    ``fps`` is measured from the frames' times, 0 with fewer than two; ``missing`` are the
    numbers of clips that are not there though a later one is.
    """

    frames: int
    fps: float
    events: Mapping[str, int]
    outcomes: tuple[GoalOutcome, ...]
    missing: tuple[int, ...]

    @property
    def goal(self) -> str:
        """The goals in one line."""
        return goal_in_words(self.outcomes)

    @property
    def reached(self) -> bool:
        """Whether they were reached."""
        return all_reached(self.outcomes)


def read_trace(root: Path, rows: Sequence[ClipRow]) -> TraceFacts:
    """Read a trace's clips, all but their pixels, and say what they show.

    Args:
        root: the store's folder.
        rows: the trace's rows in order; withdrawn ones are passed over.

    Raises:
        ClipCorrupt: a clip's bytes are damaged.
    """
    present = [row for row in rows if row.state is ClipState.COMMITTED]
    events: Counter[str] = Counter()
    times: list[int] = []

    def clips() -> Iterator[ClipMeta]:
        for row in present:
            clip = decode_meta(read_body(root, row))
            times.extend(clip.t_mono_ns)
            events.update(event.type for group in clip.events for event in group)
            yield clip

    outcomes = goal_outcomes(clips())
    span_ns = times[-1] - times[0] if times else 0
    numbers = {row.seq for row in rows}
    return TraceFacts(
        frames=len(times),
        fps=(len(times) - 1) * NS_PER_S / span_ns if span_ns else 0.0,
        events=dict(sorted(events.items())),
        outcomes=tuple(outcomes),
        missing=tuple(seq for seq in range(max(numbers, default=-1)) if seq not in numbers),
    )
