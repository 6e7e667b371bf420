"""Envelopes from bytes: what strangers sent, or why it is no command."""

from __future__ import annotations

import hashlib
import json
from uuid import UUID

from pydantic import ValidationError

from interactive.bounds import nearest
from interactive.commands import Envelope
from interactive.outcome import Reason, Rejected
from interactive.policy import COMMANDS

_SHOWN_CHARS = 64


def parse(body: bytes) -> Envelope | Rejected:
    """Return the envelope that a body holds, or why it holds none."""
    try:
        return Envelope.model_validate_json(body)
    except ValidationError as error:
        for complaint in error.errors(include_url=False, include_input=False):
            if complaint["type"] == "union_tag_invalid" and complaint["loc"] == ("command",):
                name = str(complaint["ctx"]["tag"])[:_SHOWN_CHARS]
                hint = f"no command is called {name!r}{nearest(name, list(COMMANDS))}"
                return Rejected(Reason.UNKNOWN_COMMAND, hint)
        return Rejected(Reason.MALFORMED, _hint(error))


def _hint(error: ValidationError) -> str:
    """Return the first three complaints; the input is left out, it may be anything."""
    complaints = error.errors(include_url=False, include_input=False, include_context=False)
    lines = []
    for complaint in complaints[:3]:
        path = complaint["loc"]
        if path[:1] == ("command",) and len(path) > 1:
            path = path[2:]  # the command's name, which the sender knows
        place = ".".join(map(str, path))
        message = complaint["msg"].removeprefix("Value error, ")
        lines.append(f"{place}: {message}" if place else message)
    return "; ".join(lines)[:1000]


def identity(parsed: Envelope | Rejected, body: bytes) -> tuple[str | None, str]:
    """Return a command's id where it can be read, and the digest of what it says."""
    if isinstance(parsed, Envelope):
        said = json.dumps(
            parsed.model_dump(mode="json", exclude_none=True), sort_keys=True
        ).encode()
        return str(parsed.command_id), hashlib.sha256(said).hexdigest()
    digest = hashlib.sha256(body).hexdigest()
    try:
        return str(UUID(json.loads(body)["command_id"])), digest
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, digest
