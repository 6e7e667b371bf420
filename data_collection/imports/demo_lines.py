"""One line of the demo's interaction log, checked before anything is made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data_collection.imports.importer import ImportProblem

MAX_LINE_BYTES = 1 << 20

_Seconds = Annotated[float, Field(ge=0, lt=1e11)]
_Keys = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=256)]


class Inputs(BaseModel):
    """What one message of the page said; positions and wheel in canvas pixels, unchecked."""

    model_config = ConfigDict(strict=True, extra="ignore")

    x: float | None = None
    y: float | None = None
    is_left_click: bool = False
    is_right_click: bool = False
    keys_down: _Keys = []
    keys_up: _Keys = []
    wheel_delta_x: float | None = 0
    wheel_delta_y: float | None = 0
    is_auto_input: bool = False


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    timestamp: _Seconds
    session_id: str
    is_eos: bool = False
    is_reset: bool = False
    inputs: Inputs | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line: ``number`` from 1, ``end_s`` when its frame was ready, its inputs if any.

    ``inputs`` is None on a marker; then ``is_end`` tells an end from a reset.
    """

    number: int
    end_s: float
    inputs: Inputs | None
    is_end: bool = False


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with a line."""

    code: str
    hint: str


def read_lines(
    path: Path, session_id: str, problems: list[ImportProblem]
) -> Iterator[tuple[LogLine | None, int]]:
    """Yield the lines of a log, and where in the file each ends (bytes).

    A line that is none gives None, and its reason goes to ``problems``.
    """
    with open(path, "rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            whole = raw.endswith(b"\n")
            if len(raw) > MAX_LINE_BYTES:
                _skip_line(file)
                parsed: LogLine | _Fault | None = _Fault(
                    "long_line", f"over {MAX_LINE_BYTES} bytes"
                )
            else:
                parsed = _parse(raw, number, session_id, whole)
            if isinstance(parsed, _Fault):
                hint = f"{parsed.hint}; left out"[:200]
                problems.append(ImportProblem(path.name, number, parsed.code, hint))
                parsed = None
            yield parsed, file.tell()


def _skip_line(file: BinaryIO) -> None:
    while rest := file.readline(MAX_LINE_BYTES):
        if rest.endswith(b"\n"):
            return


def _parse(raw: bytes, number: int, session_id: str, whole: bool) -> LogLine | _Fault | None:
    """Return a line, what is wrong with it, or None for an empty one."""
    if not raw.strip():
        return None
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        if not whole:
            return _Fault("torn_line", "the file ends in the middle of it")
        return _Fault("bad_json", str(error))
    try:
        line = _Line.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "line"
        return _Fault("bad_line", f"{place}: {first['msg']}")
    if line.session_id != session_id:
        return _Fault("other_session", f"it is of session {line.session_id!r}")
    if line.is_eos or line.is_reset:
        return LogLine(number, line.timestamp, None, is_end=line.is_eos)
    if line.inputs is None:
        return _Fault("bad_line", "neither inputs nor a marker")
    return LogLine(number, line.timestamp, line.inputs)
