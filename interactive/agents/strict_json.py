"""JSON of strangers."""

from __future__ import annotations

import json
from typing import Any


class NotJson(ValueError):
    """A text is not JSON, or is JSON that says what JSON has no words for."""


def _refuse(word: str) -> Any:
    raise NotJson(f"{word} is no JSON")


def loads(text: str | bytes) -> Any:
    """Return what a JSON text says; a fence of back-quotes around it is taken off.

    Raises:
        NotJson: it is no JSON, holds NaN or an infinity, or is nested too deeply.
    """
    try:
        shown = text.decode("utf-8") if isinstance(text, bytes) else text
        shown = shown.strip()
        if shown.startswith("```"):
            shown = shown.removesuffix("```").split("\n", 1)[-1]
        return json.loads(shown, parse_constant=_refuse)
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except NotJson:
        raise
    except (ValueError, IndexError) as error:
        raise NotJson(str(error)[:200]) from None
