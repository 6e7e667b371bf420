"""Traces, clips and the rows that describe them: what was recorded.

A *trace* is one sitting at one desktop: a header and its clips in order. A *clip*
is one second of it (``fps`` frames, fewer in the last one) and the unit of
durability. A *clip row* is what the index, ``data.jsonl`` and the sampler know of
a clip without opening it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from data_collection.events import REDACTION_KINDS, Event, Marker

FPS = 15
"""Frames a second, as in NeuralOS (arXiv 2507.08800)."""

Frame = npt.NDArray[np.uint8]
"""One picture: uint8, shape (height, width, 3), RGB."""


class Consent(str, Enum):
    """Who agreed to the recording."""

    GIVEN = "given"
    SYNTHETIC = "synthetic"


@dataclass(frozen=True, slots=True)
class TraceHeader:
    """What holds for a whole trace.

    ``anchor_wall_s`` is the wall-clock time at ``anchor_mono_ns``; every other time
    of the trace is monotonic. ``frame_source`` is ``real``, or ``simulator`` when the
    frames were generated (then ``checkpoint`` names the weights, and the frames are
    context, never targets), or ``missing`` when nobody has them: then they are black, and
    the trace is there for its events.

    ``follows`` names the trace at whose end the real desktop stood when this one began,
    and ``follows_frames`` how many frames that one had; it is empty where a reset came
    first, or something that no trace holds. Replaying that chain from its reset brings a
    desktop to where this trace begins. ``origin`` names the trace whose events were
    replayed to get this one's frames.
    """

    trace_id: str
    desktop: str
    width_px: int
    height_px: int
    seed: int
    source: str
    consent: Consent
    anchor_wall_s: float
    anchor_mono_ns: int
    fps: int = FPS
    frame_source: str = "real"
    checkpoint: str = ""
    policy: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    follows: str = ""
    follows_frames: int = 0
    origin: str = ""

    def wall_s(self, t_mono_ns: int) -> float:
        """Return the wall-clock seconds of a monotonic time of this trace."""
        return self.anchor_wall_s + (t_mono_ns - self.anchor_mono_ns) / 1e9

    def to_json(self) -> dict[str, Any]:
        """Return the header as a JSON object."""
        return {**asdict(self), "consent": self.consent.value}

    @classmethod
    def from_json(cls, obj: dict[str, Any]) -> TraceHeader:
        """Rebuild a header.

        Raises:
            ValueError: a field is missing, unknown or has a value outside its set.
        """
        try:
            return cls(**{**obj, "consent": Consent(obj["consent"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"bad trace header: {error}") from None


@dataclass(frozen=True, slots=True)
class Clip:
    """One second of a trace.

    Frame i of the clip is what the desktop showed after it took ``events[i]``;
    ``t_mono_ns[i]`` is when that frame was due. ``first_frame`` is the trace-wide
    index of frame 0; ``state`` is the desktop's readable state after the last frame.
    """

    trace_id: str
    seq: int
    first_frame: int
    frames: npt.NDArray[np.uint8]
    """(N, height, width, 3), RGB."""
    t_mono_ns: tuple[int, ...]
    events: tuple[tuple[Event, ...], ...]
    state: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hold the invariant that a clip has one time and one event group per frame."""
        if not len(self.frames) == len(self.t_mono_ns) == len(self.events):
            raise ValueError(
                f"clip {self.trace_id}/{self.seq}: {len(self.frames)} frames, "
                f"{len(self.t_mono_ns)} times, {len(self.events)} event groups"
            )

    @property
    def redacted(self) -> bool:
        """Whether its frames were blanked before they were stored: never a target."""
        return any(
            isinstance(event, Marker) and event.kind in REDACTION_KINDS
            for group in self.events
            for event in group
        )


class ClipState(str, Enum):
    """Where a stored clip stands."""

    COMMITTED = "committed"
    TOMBSTONED = "tombstoned"


@dataclass(frozen=True, slots=True)
class ClipRow:
    """What is known of a committed clip without opening it.

    ``commit`` is dense from 1 over the store. ``offset`` and ``length`` (bytes) place
    the clip's body in ``file``, relative to the store's folder. ``weight`` is the
    integer sampling weight from the changed-pixel fraction; 0 is never drawn.
    ``captured_wall_s`` (last frame) and ``acknowledged_wall_s`` serve reports only:
    nothing that training reads depends on a clock.
    """

    commit: int
    trace_id: str
    seq: int
    source: str
    file: str
    offset: int
    length: int
    body_sha: str
    content_sha: str
    first_frame: int
    frames: int
    weight: int
    frame_source: str
    policy: str
    captured_wall_s: float
    acknowledged_wall_s: float
    state: ClipState = ClipState.COMMITTED

    def to_json(self) -> dict[str, Any]:
        """Return the row as a JSON object."""
        return {**asdict(self), "state": self.state.value}

    @classmethod
    def from_json(cls, obj: dict[str, Any]) -> ClipRow:
        """Rebuild a row from ``to_json``'s object."""
        return cls(**{**obj, "state": ClipState(obj["state"])})
