"""The trained simulators that come with the package, each a folder that can be played."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

BASES = Path(__file__).parent
DEFAULT_BASE = "base"
CARD_FILE = "card.json"
"""How a base was made, and what it scored."""


class UnknownBase(ValueError):
    """No base goes by that name; the message names the nearest."""


def base_names() -> tuple[str, ...]:
    """Return the names of the bases that are here."""
    return tuple(sorted(card.parent.name for card in BASES.glob(f"*/{CARD_FILE}")))


def base_folder(name: str) -> Path:
    """Return the folder of a base.

    Raises:
        UnknownBase: there is none of that name.
    """
    names = base_names()
    if name not in names:
        nearest = get_close_matches(name, names, n=1, cutoff=0.0)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else "; this package has none"
        raise UnknownBase(f"no base {name!r}{hint}")
    return BASES / name
