"""A stranger's clip, decoded and checked by itself: what it is, or why it is unfit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Union

from data_collection.storage.codec import (
    ClipCorrupt,
    ClipLimits,
    body_sha,
    decode_clip,
)
from data_collection.storage.store import EncodedClip
from data_collection.streaming.clip_checks import Fault, check_clip
from data_collection.streaming.presses import Presses, presses
from data_collection.trace import TraceHeader


@dataclass(frozen=True, slots=True)
class Examined:
    """A fit clip in a few facts: all that the server keeps in memory of its content.

    ``frames`` is how many there are, from the trace's frame ``first_frame`` on, due from
    ``first_ns`` to ``last_ns`` (monotonic).
    """

    first_frame: int
    frames: int
    first_ns: int
    last_ns: int
    content_sha: str
    weight: int
    presses: Presses

    def encoded(self, seq: int, body: bytes) -> EncodedClip:
        """Return the clip as the store takes it."""
        return EncodedClip(
            seq=seq,
            first_frame=self.first_frame,
            frames=self.frames,
            first_ns=self.first_ns,
            last_ns=self.last_ns,
            body=body,
            body_sha=body_sha(body),
            content_sha=self.content_sha,
            weight=self.weight,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, obj: dict[str, Any]) -> Examined:
        """Rebuild the facts from ``to_json``'s object."""
        return cls(**{**obj, "presses": Presses.from_json(obj["presses"])})


def examine(header: TraceHeader, seq: int, body: bytes) -> Union[Examined, Fault]:
    """Decode a clip within the limits of its trace and check it.

    Args:
        header: the trace that it claims to belong to.
        seq: the number that it was sent under.
        body: what ``encode_clip`` returned, as far as anyone knows.
    """
    try:
        clip = decode_clip(body, ClipLimits.of_header(header))
    except ClipCorrupt as error:
        return Fault(error.code, error.hint)
    if (clip.trace_id, clip.seq) != (header.trace_id, seq):
        return Fault("place", f"the body is {clip.trace_id!r}/{clip.seq}"[:200])
    unfit = check_clip(clip, header)
    if unfit:
        return unfit
    encoded = EncodedClip.of(clip, body)
    return Examined(
        first_frame=encoded.first_frame,
        frames=encoded.frames,
        first_ns=encoded.first_ns,
        last_ns=encoded.last_ns,
        content_sha=encoded.content_sha,
        weight=encoded.weight,
        presses=presses(clip),
    )
