"""A stored trace sent to a run's server, clip by clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_collection.storage.codec import ClipCorrupt
from data_collection.storage.reading import read_body
from data_collection.streaming.send_traces import Refusal, TraceSender
from data_collection.trace import ClipRow, ClipState, TraceHeader


@dataclass(frozen=True, slots=True)
class PushedTrace:
    """What became of a trace: clips sent, clips that were there, what was refused and why."""

    trace_id: str
    sent: int
    present: int
    refusals: tuple[Refusal, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "id": self.trace_id,
            "sent": self.sent,
            "present": self.present,
            "refused": len(self.refusals),
        }


def push_trace(
    sender: TraceSender, root: Path, header: TraceHeader, rows: Sequence[ClipRow]
) -> PushedTrace:
    """Send a trace's clips that are not withdrawn and not there yet.

    Args:
        sender: to the server.
        root: the folder of the store that has the trace.
        header: under which the trace is opened there.
        rows: the trace's rows.

    Raises:
        ServerAway: the server is gone.
        SenderNotAllowed: the token may not send clips.
    """
    live = [row for row in rows if row.state is ClipState.COMMITTED]
    if not live:
        return PushedTrace(header.trace_id, 0, 0, ())
    refusal = sender.open(header)
    if refusal is not None:
        return PushedTrace(header.trace_id, 0, 0, (refusal,))
    present = sender.present(header.trace_id)
    sent, refusals = 0, []
    for row in live:
        if row.seq in present:
            continue
        try:
            refused = sender.put(row.trace_id, row.seq, read_body(root, row))
        except ClipCorrupt as error:
            refused = Refusal(row.trace_id, row.seq, error.code, error.hint)
        if refused is None:
            sent += 1
        else:
            refusals.append(refused)
    there = sum(row.seq in present for row in live)
    return PushedTrace(header.trace_id, sent, there, tuple(refusals))
