"""The one error of everything that reads clips."""

from __future__ import annotations


class ClipCorrupt(Exception):
    """Bytes that are no clip, or one outside the limits.

    Args:
        code: short stable name of what is wrong, such as ``crc``.
        hint: the particulars, for a person.
    """

    def __init__(self, code: str, hint: str) -> None:
        super().__init__(f"{code}: {hint}")
        self.code = code
        self.hint = hint
