"""JSON for strangers: NaN and the infinities are data, and travel as strings."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from interactive.record.metrics import json_safe


def to_text(value: Any) -> str:
    """Return a value as one line of strict JSON."""
    return json.dumps(json_safe(value), allow_nan=False, separators=(",", ":"))


def answer(value: Any, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(to_text(value), status, media_type="application/json")
