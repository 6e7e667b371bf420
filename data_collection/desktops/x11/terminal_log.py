"""What a terminal showed, read from the log that ``script`` keeps of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_CONTROLS = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")
_MOST_LINES = 60
_MOST_BYTES = 16 << 10


class TerminalLogs:
    """Reads logs, each again only after it has grown."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[int, list[str]]] = {}

    def state(self, log: Path) -> dict[str, Any] | None:
        """Return ``lines`` (the newest ones, the prompt last) and ``cwd``; None without a log."""
        try:
            size = log.stat().st_size
        except OSError:
            return None
        known = self._read.get(log)
        if known is None or known[0] != size:
            with open(log, "rb") as file:
                file.seek(max(0, size - _MOST_BYTES))
                text = file.read().decode(errors="replace")
            if size <= _MOST_BYTES:
                # The first line is script's own.
                text = text.partition("\n")[2]
            known = (size, screen_lines(text)[-_MOST_LINES:])
            self._read[log] = known
        where = log.with_name(log.name + ".cwd")
        try:
            cwd = where.read_text().strip()
        except OSError:
            cwd = ""
        return {"lines": list(known[1]), "cwd": cwd}


def screen_lines(text: str) -> list[str]:
    """Return what a terminal's output looks like, line by line, without colours and the like."""
    lines = []
    for raw in _CONTROLS.sub("", text).split("\n"):
        cells: list[str] = []
        at = 0
        for char in raw:
            if char == "\b":
                at = max(0, at - 1)
            elif char == "\r":
                at = 0
            elif char >= " ":
                cells[at : at + 1] = [char]
                at += 1
        lines.append("".join(cells).rstrip())
    return lines
