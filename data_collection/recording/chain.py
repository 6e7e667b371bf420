"""The traces that have to be replayed, from a reset on, to come to where a trace began."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_collection.events import ButtonChanged, Marker, PointerMoved
from data_collection.storage.codec import ClipMeta, decode_meta
from data_collection.storage.reading import read_body
from data_collection.trace import ClipRow, ClipState, TraceHeader

RESET = "reset"
REDACTED = "redact"
"""What the kinds of the markers of a redaction begin with."""


class NotReplayable(Exception):
    """A trace whose events cannot be replayed exactly.

    Args:
        trace_id: the trace that stands in the way.
        code: short stable name of why.
        hint: the particulars.
    """

    def __init__(self, trace_id: str, code: str, hint: str) -> None:
        super().__init__(f"{trace_id} cannot be replayed: {hint}")
        self.trace_id = trace_id
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Stretch:
    """A trace to be replayed whole."""

    header: TraceHeader
    rows: tuple[ClipRow, ...]

    def clips(self, root: Path) -> Iterator[ClipMeta]:
        """Read its clips in order, all but their pixels.

        Raises:
            ClipCorrupt: a clip's bytes are damaged.
        """
        for row in self.rows:
            yield decode_meta(read_body(root, row))

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return sum(row.frames for row in self.rows)


HeaderOf = Callable[[str], TraceHeader | None]
RowsOf = Callable[[str], Sequence[ClipRow]]


def chain_of(trace_id: str, root: Path, header_of: HeaderOf, rows_of: RowsOf) -> list[Stretch]:
    """Return the traces to replay for one, that one last; the first begins with a reset.

    Args:
        trace_id: the trace whose frames are wanted.
        root: the store's folder.
        header_of: a trace's header, None where there is no such trace or it is withdrawn.
        rows_of: a trace's rows.

    Raises:
        NotReplayable: something of the way from the reset is not there.
        ClipCorrupt: the first clip's bytes are damaged.
    """
    chain = [_stretch(trace_id, header_of, rows_of)]
    while not begins_with_reset(chain[0], root):
        header = chain[0].header
        if not header.follows:
            hint = (
                "it does not begin with a reset, and something before it was not recorded "
                "(a pause, a discard, a redaction)"
            )
            raise NotReplayable(header.trace_id, "no_reset", hint)
        before = _stretch(header.follows, header_of, rows_of)
        if before.frames != header.follows_frames:
            hint = f"{before.frames} of its {header.follows_frames} frames are there"
            raise NotReplayable(header.follows, "incomplete", hint)
        if any(before.header.trace_id == one.header.trace_id for one in chain):
            raise NotReplayable(header.trace_id, "circle", "it follows itself")
        chain.insert(0, before)
    return chain


def begins_with_reset(stretch: Stretch, root: Path) -> bool:
    """Say whether a trace began right after a reset to its header's seed."""
    first = next(stretch.clips(root))
    return any(isinstance(event, Marker) and event.kind == RESET for event in first.events[0])


def check_replayable(clip: ClipMeta, width_px: int, height_px: int) -> None:
    """Refuse a clip whose pointer leaves a screen, or whose events were redacted.

    Raises:
        NotReplayable: saying which.
    """
    for group in clip.events:
        for event in group:
            if isinstance(event, (PointerMoved, ButtonChanged)) and not (
                0 <= event.x_px < width_px and 0 <= event.y_px < height_px
            ):
                place = f"({event.x_px}, {event.y_px}) lies outside {width_px}x{height_px}"
                raise NotReplayable(clip.trace_id, "off_screen", place)
            if isinstance(event, Marker) and event.kind.startswith(REDACTED):
                hint = f"clip {clip.seq} was redacted: what was done in it is not known"
                raise NotReplayable(clip.trace_id, "redacted", hint)


def _stretch(trace_id: str, header_of: HeaderOf, rows_of: RowsOf) -> Stretch:
    header = header_of(trace_id)
    if header is None:
        raise NotReplayable(trace_id, "not_there", "it is not in this store, or withdrawn")
    rows = tuple(sorted(rows_of(trace_id), key=lambda row: row.seq))
    if not rows:
        raise NotReplayable(trace_id, "not_there", "it has no clips")
    for seq, row in enumerate(rows):
        if row.seq != seq:
            raise NotReplayable(trace_id, "incomplete", f"clip {seq} is missing")
        if row.state is not ClipState.COMMITTED:
            raise NotReplayable(trace_id, "incomplete", f"clip {seq} is withdrawn")
    return Stretch(header, rows)
