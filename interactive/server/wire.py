"""JSON for strangers: NaN and the infinities are data, and travel as strings."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response


def plain(value: Any) -> Any:
    """Return a value with each non-finite number as ``"NaN"``, ``"Infinity"``, ``"-Infinity"``."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(inner) for inner in value]
    return value


def to_text(value: Any) -> str:
    """Return a value as one line of strict JSON."""
    return json.dumps(plain(value), allow_nan=False, separators=(",", ":"))


def answer(value: Any, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(to_text(value), status, media_type="application/json")
