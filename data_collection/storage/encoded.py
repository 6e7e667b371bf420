"""A clip with its body and all that is computed from them, and the row it gets."""

from __future__ import annotations

from dataclasses import dataclass

from data_collection.storage import trace_file
from data_collection.storage.changes import changed_bands
from data_collection.storage.codec import body_sha, clip_weight, content_sha
from data_collection.trace import Clip, ClipRow, TraceHeader


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """A clip's body and all that storing it needs to know of its content; no frames.

    ``frames`` is how many there are, from the trace's frame ``first_frame`` on, due from
    ``first_ns`` to ``last_ns`` (monotonic).
    """

    seq: int
    first_frame: int
    frames: int
    first_ns: int
    last_ns: int
    body: bytes
    body_sha: str
    content_sha: str
    weight: int

    @classmethod
    def of(cls, clip: Clip, body: bytes) -> EncodedClip:
        """Compute hashes and weight of a clip and its body."""
        bands = changed_bands(clip.frames)
        return cls(
            seq=clip.seq,
            first_frame=clip.first_frame,
            frames=len(clip.frames),
            first_ns=clip.t_mono_ns[0],
            last_ns=clip.t_mono_ns[-1],
            body=body,
            body_sha=body_sha(body),
            content_sha=content_sha(clip, bands),
            weight=clip_weight(clip, bands),
        )


def row_of(
    header: TraceHeader, encoded: EncodedClip, offset: int, acknowledged_wall_s: float
) -> ClipRow:
    """Return the row of a clip whose body lies at ``offset``; it has no number yet."""
    return ClipRow(
        commit=0,
        trace_id=header.trace_id,
        seq=encoded.seq,
        source=header.source,
        file=trace_file.file_name(header.trace_id),
        offset=offset,
        length=len(encoded.body),
        body_sha=encoded.body_sha,
        content_sha=encoded.content_sha,
        first_frame=encoded.first_frame,
        frames=encoded.frames,
        # Generated frames are context, never targets.
        weight=encoded.weight if header.frame_source == "real" else 0,
        frame_source=header.frame_source,
        policy=header.policy,
        captured_wall_s=header.wall_s(encoded.last_ns),
        acknowledged_wall_s=acknowledged_wall_s,
    )
