"""Text of others as a model may see it: quoted, capped, and never an instruction."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from interactive.record.metrics import json_safe

TEXT_CHARS = 240
"""How much of one text of others is shown."""
BLOCK_CHARS = 12_000
"""How much of one block is shown."""
POINTS = 20
"""How many points of a series are shown (arXiv 2510.02297)."""


def capped(value: Any, most: int = TEXT_CHARS) -> Any:
    """Return JSON with each text in it cut to ``most`` characters."""
    if isinstance(value, str):
        return value if len(value) <= most else value[:most] + "…"
    if isinstance(value, Mapping):
        return {capped(str(name), most): capped(item, most) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [capped(item, most) for item in value]
    return value


def block(name: str, value: Any, most: int = BLOCK_CHARS) -> str:
    """Return a block of data that nothing inside it can close.

    The block is JSON on one line in which every ``<`` and ``>`` is escaped, between tags.
    """
    text = json.dumps(json_safe(capped(value)), ensure_ascii=True)
    text = text.replace("<", "\\u003c").replace(">", "\\u003e")
    if len(text) > most:
        text = text[:most] + " … (cut)"
    return f"<{name}>\n{text}\n</{name}>"


def recent_biased(count: int, most: int = POINTS) -> list[int]:
    """Return at most ``most`` indices: the first, the last, and denser towards the last."""
    if count <= most:
        return list(range(count))
    kept = {0, count - 1}
    spread = most
    while len(kept) < most and spread < 50 * most:
        back = {round((count - 1) ** (i / spread)) for i in range(spread + 1)}
        kept = {0, count - 1, *sorted({count - 1 - b for b in back}, reverse=True)[: most - 2]}
        spread += 1
    return sorted(kept)


def series(steps: Sequence[int], values: Sequence[float]) -> list[list[float | int]]:
    """Return the points of a series that a model sees, as [step, value]."""
    kept = recent_biased(len(values))
    return [[steps[i], _short(values[i])] for i in kept]


def _short(value: float) -> float:
    return float(f"{value:.5g}") if math.isfinite(value) else value
