"""A trace header as strangers write it: every field with its type and its bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data_collection.trace import FPS, Consent, TraceHeader

_Text = Annotated[str, Field(max_length=200)]
_Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_TraceId = Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9-]{0,63})?$")]


class TraceRequest(BaseModel):
    """The body that opens a trace; the fields are those of ``TraceHeader``."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    trace_id: _Text
    desktop: _Text
    width_px: int = Field(ge=16, le=4096)
    height_px: int = Field(ge=16, le=4096)
    seed: _Int64
    source: str = Field(min_length=1, max_length=200)
    consent: Literal["given", "synthetic"]
    # To the year 5138: far enough for any clock, near enough for its microseconds to count.
    anchor_wall_s: float = Field(ge=0, le=1e11)
    anchor_mono_ns: int = Field(ge=0, lt=2**63)
    fps: int = Field(default=FPS, ge=1, le=120)
    frame_source: Literal["real", "simulator", "missing"] = "real"
    checkpoint: _Text = ""
    policy: _Text = ""
    versions: dict[_Text, _Text] = Field(default={}, max_length=64)
    follows: _TraceId = ""
    follows_frames: int = Field(default=0, ge=0, lt=2**31)
    origin: _TraceId = ""


def parse_header(obj: Any) -> TraceHeader:
    """Return the header that a JSON value states.

    Raises:
        ValueError: a field is missing, unknown, of another type or out of bounds; the
            message names the first one.
    """
    try:
        request = TraceRequest.model_validate(obj)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "header"
        raise ValueError(f"{place}: {first['msg']}") from None
    return TraceHeader(**{**request.model_dump(), "consent": Consent(request.consent)})
