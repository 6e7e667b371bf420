"""JSON as strangers write it: one meaning for every reader, or none."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: bytes | str) -> Any:
    """Return the value of a JSON text that every reader understands alike.

    Raises:
        ValueError: it is no JSON, names a key twice, holds ``NaN`` or ``Infinity``, or is
            nested too deep.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
