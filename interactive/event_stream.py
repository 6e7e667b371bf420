"""The events of a run as they stand on the wire: server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One event of the stream; ``cursor`` resumes it there."""

    cursor: str
    kind: str
    data: Mapping[str, Any]


def parse_events(lines: Iterable[str]) -> Iterator[RunEvent]:
    """Yield the events of a stream of lines; what the end cuts off is left out."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields:
            data = json.loads(fields.get("data", "{}"))
            yield RunEvent(fields.get("id", ""), fields.get("event", "message"), data)
            fields = {}
