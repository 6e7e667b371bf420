"""Arguments of a command as words: ``name=value``."""

from __future__ import annotations

import json
from typing import Any

from experiments.console import Failure, Status


def parse_arguments(words: tuple[str, ...]) -> dict[str, Any]:
    """Return ``name=value`` words as a JSON object; ``a.b.c=1`` is ``b.c`` inside ``a``.

    Raises:
        Failure: a word has no ``=``, or a name has a value and parts.
    """
    arguments: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise Failure(Status.USAGE, "usage", f"{word!r} is not NAME=VALUE.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        table, dot, leaf = name.partition(".")
        if not dot:
            arguments[name] = value
            continue
        inside = arguments.setdefault(table, {})
        if not isinstance(inside, dict):
            raise Failure(Status.USAGE, "usage", f"{table!r} is given a value and parts.")
        inside[leaf] = value
    return arguments
