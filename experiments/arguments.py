"""Arguments of a command as words: ``name=value``."""

from __future__ import annotations

import json
from typing import Any

from experiments.console import Failure, Status


def parse_arguments(words: tuple[str, ...]) -> dict[str, Any]:
    """Return ``name=value`` words as a JSON object; ``a.b=1`` nests.

    Raises:
        Failure: a word has no ``=``.
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
        *folders, leaf = name.split(".")
        place = arguments
        for folder in folders:
            place = place.setdefault(folder, {})
        place[leaf] = value
    return arguments
