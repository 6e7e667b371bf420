"""Refusing a name that there is not, with the nearest that there is."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from interactive.outcome import Reason, Rejected


def refuse_name(code: Reason, kind: str, name: object, known: Collection[str]) -> Rejected:
    """Return the refusal of a name.

    Args:
        code: why.
        kind: what the name should have been of, such as ``module``.
        name: what was asked for.
        known: the names that there are.
    """
    if not known:
        return Rejected(code, f"no {kind} {name!r}; there is none here")
    begun = [one for one in known if one.startswith(str(name))]
    nearest = (begun or get_close_matches(str(name), known, n=1, cutoff=0.0))[0]
    return Rejected(code, f"no {kind} {name!r}; did you mean {nearest!r}?")
