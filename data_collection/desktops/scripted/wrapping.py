"""Text broken into lines of a given width."""

from __future__ import annotations

from data_collection.desktops.scripted.font import ADVANCE_PX


def wrapped(text: str, width_px: int) -> list[str]:
    """Break text between words, and inside words that are too long; at least one line."""
    most = max(1, width_px // ADVANCE_PX)
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if len(joined) <= most:
            line = joined
            continue
        if line:
            lines.append(line)
        *full, line = chunks(word, most)
        lines += full
    return [*lines, line]


def chunks(text: str, most: int) -> list[str]:
    """Break text after every ``most`` characters; at least one line."""
    return [text[at : at + most] for at in range(0, len(text), most)] or [""]
